"""Every contract against the Open Data Contract Standard, with datacontract-cli in the environment of its own.

Runs in the tool environment (scripts/tool_env.sh), which knows nothing of the product. One process for all files: the
command line of the tool takes seconds to start. The JSON schema is the one the tool carries for the version a contract
declares, and references are not followed, so nothing is fetched from anywhere.
"""

import sys
from pathlib import Path

from datacontract.data_contract import DataContract

PROJECT = Path(__file__).resolve().parents[1]


def main(arguments: list[str]) -> int:
    """Number of broken files as exit code 0 or 1; one line per error."""
    paths = [Path(argument) for argument in arguments] or sorted(PROJECT.glob("agencies/*/*.odcs.yaml"))
    broken = 0
    for path in paths:
        run = DataContract(data_contract_file=str(path), inline_references=False, all_errors=True).lint()
        wrong = [check for check in run.checks if check.result != "passed"]
        broken += bool(wrong)
        for check in wrong:
            print(f"{path}: {check.reason or check.name}", file=sys.stderr)
    print(f"{len(paths)} contracts linted with datacontract-cli, {broken} with errors.")
    return 1 if broken or not paths else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
