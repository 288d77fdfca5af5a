"""The real Hub, for what a loopback cannot prove. Opt-in: CERBERUS_BENCH_HUB_TOKEN holds a token.

It makes a private dataset repository under the account of the token, and removes it.
"""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hub_data import monuseg_folder

__all__ = ["monuseg_folder"]

VARIABLE = "CERBERUS_BENCH_HUB_TOKEN"
CYCLE = """
    import sys, uuid
    from huggingface_hub import HfApi
    import cerberus_bench as cb
    from cerberus_bench.workflows.push import push

    folder = sys.argv[1]
    api = HfApi()
    repo = f"{api.whoami()['name']}/cerberus-bench-test-{uuid.uuid4().hex[:8]}"
    try:
        first = push(folder, repo, private=True)
        again = push(folder, repo)
        assert again.published.changed == (), again
        local = cb.load(folder, split="train")
        for revision in (first.published.tag, first.published.commit):
            rows = cb.load(repo, split="train", revision=revision)
            assert rows["sample_id"] == local["sample_id"]
        streamed = list(cb.load(repo, split="train", streaming=True))
        assert [row["sample_id"] for row in streamed] == local["sample_id"]
    finally:
        api.delete_repo(repo, repo_type="dataset", missing_ok=True)
"""


def test_the_whole_cycle_on_the_real_hub(monuseg_folder: Path, tmp_path: Path) -> None:
    token = os.environ.get(VARIABLE)
    if not token:
        pytest.skip(f"{VARIABLE} is not set: the real Hub needs a token that may write")
    proxies = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("HF_") and name.lower() not in proxies
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CYCLE), str(monuseg_folder)],
        env=kept | {"HF_TOKEN": token, "HF_HOME": str(tmp_path / "hf")},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr.replace(token, "TOKEN")
