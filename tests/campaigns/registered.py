"""The campaigns by name."""

from __future__ import annotations

from tests.campaigns.plugin_faults import PluginFaults
from tests.campaigns.recipes import Recipes
from tests.campaigns.rule import Campaign

CAMPAIGNS: dict[str, type[Campaign]] = {campaign.name: campaign for campaign in (Recipes, PluginFaults)}
