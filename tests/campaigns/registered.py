"""The campaigns by name."""

from __future__ import annotations

from tests.campaigns.kills import Kills
from tests.campaigns.plugin_faults import PluginFaults
from tests.campaigns.recipes import Recipes
from tests.campaigns.rule import Campaign
from tests.campaigns.run_folders import RunFolders

CAMPAIGNS: dict[str, type[Campaign]] = {item.name: item for item in (Recipes, PluginFaults, RunFolders, Kills)}
