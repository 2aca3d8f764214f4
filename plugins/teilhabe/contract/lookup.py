"""The contracts of a home: read when somebody asks, one wrong file in the way of nobody else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import SUFFIX, contract_path, load_contract, load_contracts
from teilhabe.errors import ContractError
from teilhabe.settings import Settings


def contracts(settings: Settings) -> dict[str, Contract]:
    return load_contracts(settings.agencies)


class ContractsOnDemand(Mapping[str, Contract]):
    """All contracts, each read when it is asked for: most follow-ups are about one dataset."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ids = dataset_ids(settings)
        self._read: dict[str, Contract] = {}

    def __getitem__(self, dataset_id: str) -> Contract:
        if dataset_id not in self._ids:
            raise KeyError(dataset_id)
        if dataset_id not in self._read:
            self._read[dataset_id] = contract(self._settings, dataset_id)
        return self._read[dataset_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def dataset_ids(settings: Settings) -> list[str]:
    """All datasets, told by their files alone: reading forty contracts takes half a second."""
    paths = settings.agencies.glob(f"*/*{SUFFIX}")
    return sorted(f"{path.parent.name}__{path.name.removesuffix(SUFFIX)}" for path in paths)


def contract(settings: Settings, dataset_id: str) -> Contract:
    """The contract of a dataset; ``ContractError`` lists what there is when the id is unknown."""
    path = contract_path(settings.agencies, dataset_id)
    if not path.is_file():
        raise ContractError(f"There is no dataset '{dataset_id}'. Known: {', '.join(contracts(settings))}.")
    return load_contract(path)
