"""Registers the built-in components, through the same hook as any other plugin."""

from __future__ import annotations

from translate_core import NoPool, Registrar, hookimpl
from translate_plugins.datasets.class_folders import ClassFolders
from translate_plugins.datasets.paired_folders import PairedFolders
from translate_plugins.datasets.paired_side_by_side import PairedSideBySide
from translate_plugins.datasets.synthetic import Synthetic
from translate_plugins.datasets.unpaired_folders import UnpairedFolders
from translate_plugins.discriminators.multiscale import Multiscale
from translate_plugins.discriminators.patchgan import PatchGAN
from translate_plugins.discriminators.pixelgan import PixelGAN
from translate_plugins.discriminators.starganv2 import StarGANv2Discriminator
from translate_plugins.discriminators.ugatit import UGATITDiscriminator
from translate_plugins.discriminators.unsb import UNSBDiscriminator
from translate_plugins.generators.johnson import Johnson
from translate_plugins.generators.munit import MUNITGenerator
from translate_plugins.generators.resnet import ResNet
from translate_plugins.generators.resnet_adalin import ResNetAdaLIN
from translate_plugins.generators.starganv2 import StarGANv2Generator
from translate_plugins.generators.ugatit import UGATITGenerator
from translate_plugins.generators.unet import UNet
from translate_plugins.generators.unet_diffusion import UNetDiffusion
from translate_plugins.generators.unsb import UNSBGenerator
from translate_plugins.heads.mlp import MLP
from translate_plugins.inits.weights import kaiming, none, normal, orthogonal, xavier
from translate_plugins.losses.bce import BCE
from translate_plugins.losses.cam import CAM
from translate_plugins.losses.distances import L1, L2, Charbonnier, SmoothL1
from translate_plugins.losses.diversity import Diversity
from translate_plugins.losses.feature_matching import FeatureMatching
from translate_plugins.losses.hinge import Hinge
from translate_plugins.losses.lsgan import LSGAN
from translate_plugins.losses.patch_nce import PatchNCE
from translate_plugins.losses.perceptual import Perceptual
from translate_plugins.losses.r1 import R1
from translate_plugins.losses.reconstruction import Cycle, Identity
from translate_plugins.losses.schrodinger_bridge import SchrodingerBridge
from translate_plugins.losses.ssim import SSIMLoss
from translate_plugins.losses.wgan_gp import WGANGP
from translate_plugins.methods.bbdm import BBDM
from translate_plugins.methods.cut import CUT
from translate_plugins.methods.cyclegan import CycleGAN
from translate_plugins.methods.dclgan import DCLGAN
from translate_plugins.methods.gan import GAN
from translate_plugins.methods.munit import MUNIT
from translate_plugins.methods.pix2pix import Pix2Pix
from translate_plugins.methods.starganv2 import StarGANv2
from translate_plugins.methods.ugatit import UGATIT
from translate_plugins.methods.unsb import UNSB
from translate_plugins.metrics.psnr import PSNR
from translate_plugins.metrics.ssim import SSIM
from translate_plugins.metrics.swd import SWD
from translate_plugins.networks.starganv2_mapping import StarGANv2Mapping
from translate_plugins.networks.starganv2_style import StarGANv2Style
from translate_plugins.observers.csv_files import CSVFiles
from translate_plugins.observers.early_stopping import EarlyStopping
from translate_plugins.observers.metrics_log import MetricsLog
from translate_plugins.observers.progress import Progress
from translate_plugins.observers.samples import Samples
from translate_plugins.observers.tensorboard import TensorBoard
from translate_plugins.optimizers.adam import adam, adamw
from translate_plugins.optimizers.sgd import sgd
from translate_plugins.pools.history import History
from translate_plugins.schedules.constant import Constant
from translate_plugins.schedules.cosine import Cosine
from translate_plugins.schedules.linear_decay import LinearDecay
from translate_plugins.schedules.plateau import Plateau
from translate_plugins.schedules.step import Step
from translate_plugins.schedules.warmup import Warmup


@hookimpl(contract=1)
def register(registry: Registrar) -> None:
    """Registers every component of this package."""
    registry.method("cyclegan", CycleGAN)
    registry.method("pix2pix", Pix2Pix)
    registry.method("cut", CUT)
    registry.method("munit", MUNIT)
    registry.method("ugatit", UGATIT)
    registry.method("dclgan", DCLGAN)
    registry.method("unsb", UNSB)
    registry.method("gan", GAN)
    registry.method("starganv2", StarGANv2)
    registry.method("bbdm", BBDM)
    registry.generator("resnet", ResNet)
    registry.generator("unet", UNet)
    registry.generator("unet_diffusion", UNetDiffusion)
    registry.generator("johnson", Johnson)
    registry.generator("resnet_adalin", ResNetAdaLIN)
    registry.generator("munit", MUNITGenerator)
    registry.generator("ugatit", UGATITGenerator)
    registry.generator("starganv2", StarGANv2Generator)
    registry.generator("unsb", UNSBGenerator)
    registry.discriminator("patchgan", PatchGAN)
    registry.discriminator("pixelgan", PixelGAN)
    registry.discriminator("multiscale", Multiscale)
    registry.discriminator("ugatit", UGATITDiscriminator)
    registry.discriminator("starganv2", StarGANv2Discriminator)
    registry.discriminator("unsb", UNSBDiscriminator)
    registry.head("mlp", MLP)
    registry.network("starganv2_mapping", StarGANv2Mapping)
    registry.network("starganv2_style", StarGANv2Style)
    registry.loss("lsgan", LSGAN)
    registry.loss("bce", BCE)
    registry.loss("hinge", Hinge)
    registry.loss("wgan_gp", WGANGP)
    registry.loss("r1", R1)
    registry.loss("cycle", Cycle)
    registry.loss("identity", Identity)
    registry.loss("l1", L1)
    registry.loss("l2", L2)
    registry.loss("smooth_l1", SmoothL1)
    registry.loss("charbonnier", Charbonnier)
    registry.loss("diversity", Diversity)
    registry.loss("ssim", SSIMLoss)
    registry.loss("perceptual", Perceptual)
    registry.loss("patch_nce", PatchNCE)
    registry.loss("cam", CAM)
    registry.loss("feature_matching", FeatureMatching)
    registry.loss("schrodinger_bridge", SchrodingerBridge)
    registry.pool("history", History)
    registry.pool("none", NoPool)
    registry.dataset("unpaired_folders", UnpairedFolders)
    registry.dataset("paired_folders", PairedFolders)
    registry.dataset("paired_side_by_side", PairedSideBySide)
    registry.dataset("class_folders", ClassFolders)
    registry.dataset("synthetic", Synthetic)
    registry.optimizer("adam", adam)
    registry.optimizer("adamw", adamw)
    registry.optimizer("sgd", sgd)
    registry.schedule("constant", Constant, default=True)
    registry.schedule("linear_decay", LinearDecay)
    registry.schedule("cosine", Cosine)
    registry.schedule("step", Step)
    registry.schedule("warmup", Warmup)
    registry.schedule("plateau", Plateau)
    registry.init("normal", normal, default=True)
    registry.init("xavier", xavier)
    registry.init("kaiming", kaiming)
    registry.init("orthogonal", orthogonal)
    registry.init("none", none)
    registry.metric("psnr", PSNR, default=True)
    registry.metric("ssim", SSIM, default=True)
    registry.metric("swd", SWD, default=True)
    registry.observer("progress", Progress, default=True)
    registry.observer("tensorboard", TensorBoard, default=True)
    registry.observer("samples", Samples, default=True)
    registry.observer("metrics_log", MetricsLog, default=True)
    registry.observer("csv", CSVFiles)
    registry.observer("early_stopping", EarlyStopping)
