"""What docs/formats.md prints is so: its commands are run, and its files are held against the verifier."""
import contextlib
import io
import json
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import record
import verify

PAGE = (Path(__file__).resolve().parents[2] / "docs/formats.md").read_text(encoding="utf-8")
TOOLS = ["bash", "xxd", "sha256sum", "base64", "openssl"]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)\n?^```$", PAGE, re.MULTILINE | re.DOTALL)


def commands():
    """Each command of the page and what it is said to print."""
    for block in blocks("console"):
        joined = block.replace("\n> ", "\0")
        for command, output in re.findall(r"^\$ (.*?)\n((?:(?![$>] ).*\n?)*)", joined, re.MULTILINE):
            yield command.replace("\0", "\n"), output.strip()


class Formats(unittest.TestCase):
    @unittest.skipUnless(all(map(shutil.which, TOOLS)), f"needs {', '.join(TOOLS)}")
    def test_every_command_prints_what_stands_under_it(self):
        found = list(commands())
        self.assertEqual(len(found), PAGE.count("\n$ "))
        self.assertGreater(len(found), 15)
        for command, output in found:
            with self.subTest(command=command):
                done = subprocess.run(["bash", "-ec", command], capture_output=True, text=True, timeout=60)
                self.assertEqual((done.returncode, done.stdout.strip()), (0, output), done.stderr)

    def test_each_value_is_made_by_one_command_and_used_by_the_next(self):
        """No hash stands in a command that no earlier command printed, or no table shows."""
        shown = set()
        for command, output in commands():
            for word in re.findall(r"\b[0-9a-f]{64}\b", command):
                self.assertIn(word, shown, command)
            shown |= set(re.findall(r"\b[0-9a-f]{64}\b", output))

    def test_checkpoint_and_proof(self):
        checkpoint, proof = (next(text for text in blocks("text") if text.startswith(start)).encode() + b"\n"
                             for start in ("example.com/credit\n2\n", "c2sp.org/tlog-proof@v1\nindex 1\n"))
        key = verify.parse_vkey(next(output for _, output in commands() if output.startswith("example.com/credit+")))
        verify.check_signature(verify.parse_checkpoint(checkpoint), key)
        self.assertTrue(proof.endswith(b"\n\n" + checkpoint))
        outcome = re.search("the leaf hash are.*?\n([0-9a-f]{64})  -\n.*?\n([0-9a-f]{64})  -\n", PAGE, re.DOTALL)[2]
        self.assertEqual(verify.check_proof(proof, bytes.fromhex(outcome), key)[0], "VALID")

    def test_the_exported_record(self):
        exported = next(block for block in blocks("json") if "stamp" in json.loads(block))
        digest, says = record.check(exported.encode())
        self.assertIn(f"\n{digest.hex()}  -\n", PAGE)
        sent = json.loads(blocks("json")[0])
        self.assertEqual((says["inputs"], says["output"]), (sent["inputs"], sent["output"]))
        output = io.StringIO()
        with tempfile.NamedTemporaryFile(suffix=".json") as file, contextlib.redirect_stdout(output):
            Path(file.name).write_text(exported)
            with contextlib.redirect_stderr(io.StringIO()):
                self.assertEqual(record.main([file.name]), 0)
        self.assertEqual(output.getvalue(), digest.hex() + "\n")


if __name__ == "__main__":
    unittest.main()
