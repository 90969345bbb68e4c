"""Help and configuration come without waiting for torch, MLflow or MONAI."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "mlflow", "monai", "skimage", "scipy")


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["run", "--cfg", "job"], ["table", "--help"]])
def test_nothing_heavy_is_imported(words: list[str]) -> None:
    program = (
        "import sys\nfrom halfscan.bench.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        f"print('heavy:', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "heavy: []" in done.stdout, done.stdout[-300:]
