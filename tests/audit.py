"""Look the installed packages up in an index of known faults (pip-audit); for `make audit`.

Without pip-audit, or where no index answers, it says so in one line and ends with 0: nothing was
looked up, so nothing is known.
"""

import importlib.util
import subprocess
import sys

SECONDS = 300


def main() -> int:
    """Return 1 when a package has a known fault."""
    if importlib.util.find_spec("pip_audit") is None:
        sys.stdout.write("audit: not done, pip-audit is not installed (pip install pip-audit)\n")
        return 0
    command = [sys.executable, "-m", "pip_audit", "--local", "--progress-spinner", "off"]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        sys.stdout.write(f"audit: not done, no index of faults answered in {SECONDS} s\n")
        return 0
    if ended.returncode == 0 or "Found " in ended.stderr:
        sys.stdout.write(ended.stdout + ended.stderr)
        return ended.returncode
    sys.stdout.write("audit: not done, no index of faults answered\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
