"""A folder of images for each of any number of domains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import PositiveInt

from translate_core import MAX_PIXELS, Channels, DataError, Fault, TrainSplit, UserError, did_you_mean
from translate_plugins.fetching.download import Download

from .decoding import Decoded
from .image_files import ImageFiles
from .layout import IMAGE_FILES, TEST, train_and_test
from .listing import Folder, Listing, Part
from .splits import labelled_train_split
from .transforms import Transform


class ClassFolders(ImageFiles):
    """Images of two or more domains, without correspondence: `root/train/<domain>` and `root/test/<domain>`.

    A draw takes a domain, then two different images of it, each cropped and flipped on its own: `real` and `other`,
    uint8 (C, H, W), with the number of the domain as `label`, int64. An epoch is as many draws as there are training
    images (StarGAN v2, Choi et al., CVPR 2020). A test item holds one image as `real_<domain>`; a domain may have no
    test folder. Kinds of images as for `unpaired_folders`.

    Args:
        root: the folder that holds train, relative to the current folder.
        domains: the folders of the domains, in the order of their labels; others in train are left out.
        test: the folder below the root with the test images, such as `val`; null for none. The folder `test` may be
            missing where `train` is the only folder.
        transform: size, crop and flip.
        channels: 3 for RGB, 1 for greyscale images, of all domains.
        balanced: draw the domain at random, each with the same probability, then the image at random with replacement,
            as StarGAN v2's code does; else each training image is visited once an epoch, in random order.
        download: where to fetch the set from if `root` does not exist.
        max_pixels: width × height of the largest file that is read; a small file can decode to any size.

    Raises:
        UserError: there is one domain only, one is listed twice, or one is not the name of a folder.
    """

    def __init__(
        self,
        root: str,
        domains: tuple[str, ...],
        test: str | None = TEST,
        transform: Transform = Transform(),  # noqa: B008 - frozen
        channels: Channels = 3,
        balanced: bool = True,
        download: Download | None = None,
        max_pixels: PositiveInt = MAX_PIXELS,
    ) -> None:
        _check(domains)
        super().__init__(root, transform, dict.fromkeys(domains, channels), True, download, max_pixels=max_pixels)
        self.kinds = {"label": "label"}
        self._test = test
        self._balanced = balanced

    def _list(self) -> Listing:
        return _list_files(self._root, self.domains, self._test, self._download is not None)

    def _train(self, decoded: Decoded, listing: Listing) -> TrainSplit:
        return labelled_train_split(decoded.store, decoded.train, self.domains, self._transform, self._balanced)


def _check(domains: Sequence[str]) -> None:
    """Raises UserError for domains that cannot be those of a dataset."""
    for number, domain in enumerate(domains):
        if domain in domains[:number]:
            raise UserError(f"domains lists {domain} twice")
        if not domain or "/" in domain or "\\" in domain or domain.startswith("."):
            raise UserError(f"domains must be names of folders in train, which '{domain}' is not")
    if len(domains) < 2:
        given = f"lists {domains[0]} only" if domains else "is empty"
        raise UserError(f"domains {given}: at least two are needed, such as domains: [cat, dog]")


def _list_files(root: Path, domains: Sequence[str], test: str | None, downloads: bool) -> Listing:
    """test: the folder of the test images, if any; downloads: whether the set would be downloaded, for messages."""
    _refuse_domains_in_root(root, domains)
    loose = "move those of each domain into a folder in train"
    names = train_and_test(root, test, loose).find(root, downloads)
    faults = _training_faults(root, names["train"], domains)
    if test is not None:
        faults += _test_faults(root / test, names[test], domains)
    if faults:
        raise DataError(f"dataset {root}", faults)
    parts = {part: tuple(_folder(part, names[part], domain) for domain in domains) for part in names}
    others = sorted({_folder_of(name) for name in names["train"]} - set(domains))
    return Listing(
        Part(parts["train"], paired=False),
        Part(parts[test] if test is not None else (), paired=False),
        f" without {', '.join(f'train/{other}' for other in others)} (not in data.domains)" if others else "",
    )


def _refuse_domains_in_root(root: Path, domains: Sequence[str]) -> None:
    """Raises DataError where the domains are not in `train` but beside where it should be."""
    if not (root / "train").exists() and all((root / domain).is_dir() for domain in domains):
        message = f"does not exist, but {root} has {', '.join(domains)}: move the training images into folders in train"
        raise DataError(f"dataset {root}", [Fault(str(root / "train"), message)])


def _folder_of(name: str) -> str:
    """The first folder of a path; `*` for an image in none."""
    return name.split("/")[0] if "/" in name else "*"


def _folder(part: str, names: Sequence[str], domain: str) -> Folder:
    within = f"{domain}/"
    return Folder(
        f"{part}/{domain}", [name.removeprefix(within) for name in names if name.startswith(within)], (domain,)
    )


def _training_faults(root: Path, names: Sequence[str], domains: Sequence[str]) -> list[Fault]:
    """A fault for each domain without a folder of two images or more."""
    train = root / "train"
    entries = sorted(entry.name for entry in train.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    has = f"the folders {', '.join(entries[:10])}{' …' if len(entries) > 10 else ''}" if entries else "no folders"
    faults: list[Fault] = []
    for domain in domains:
        path, files = train / domain, _folder("train", names, domain).files
        if not path.exists():
            unlisted = [entry for entry in entries if entry not in domains]
            faults.append(Fault(str(path), f"does not exist{did_you_mean(domain, unlisted)} {train} has {has}"))
        elif not path.is_dir():
            faults.append(Fault(str(path), "is a file, not a folder of images"))
        elif not files:
            faults.append(Fault(str(path), f"holds no images; it needs {IMAGE_FILES}"))
        elif len(files) == 1:
            faults.append(
                Fault(str(path), f"holds one image, {files[0]}: a draw takes two different images of a domain")
            )
    return faults


def _test_faults(test: Path, names: Sequence[str], domains: Sequence[str]) -> list[Fault]:
    """Faults where the folder of the test images holds images, but none of the domains, or a name in another case."""
    folders = {_folder_of(name) for name in names}
    others = {folder.lower(): folder for folder in folders - set(domains)}
    faults = [
        Fault(str(test / domain), f"does not exist, did you mean '{others[domain.lower()]}'?")
        for domain in domains
        if domain not in folders and domain.lower() in others
    ]
    if folders and not folders & set(domains) and not faults:
        message = f"holds images, but none in {' or '.join(domains)}: put those of each domain into its folder"
        faults.append(Fault(str(test), message))
    return faults
