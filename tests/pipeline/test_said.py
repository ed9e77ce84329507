"""What `collect` found out about its inputs is said on the way, in the outcome and in the report."""

import io
import json
import tarfile

from PIL import Image

CAPTIONS = ["рыжая лиса бежит по снегу в зимнем лесу", "старый мост через широкую реку на закате"]


def manifest(run) -> dict:
    return json.loads((run / "manifest/collect.json").read_text())


def test_a_guessed_encoding(call, tmp_path):
    rows = "".join(f"http://localhost/{n}.jpg,{text}\n" for n, text in enumerate(CAPTIONS))
    (tmp_path / "t.csv").write_bytes(("url,caption\n" + rows).encode("windows-1251"))
    outcome = call("run", "urls", "--run-dir", "run", "--to", "collect", "--set", "collect.tables.paths=[t.csv]")
    assert outcome.code == 0, outcome.err
    said = "t.csv: line 2 is no UTF-8, nor are 1 of those behind it; read as windows-1251, a guess"
    assert said in outcome.err
    assert [said in note for note in manifest(tmp_path / "run")["notes"]] == [True]


def test_an_encoding_that_nobody_knows(call, tmp_path):
    (tmp_path / "t.csv").write_text("url,caption\nhttp://localhost/a.jpg,a fox\n")
    words = ["--set", "collect.tables.paths=[t.csv]", "--set", "collect.tables.encoding=latin-99"]
    outcome = call("run", "urls", "--run-dir", "run", *words)
    assert outcome.code == 2
    assert "collect.tables.encoding" in outcome.err
    assert "windows-1252" in outcome.err


def test_a_broken_tar_and_a_table_that_cannot_be_read(call, tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    picture = io.BytesIO()
    Image.effect_noise((300, 300), 50).convert("RGB").save(picture, "JPEG")
    data = bytearray(tar_of([(f"{n}.jpg", picture.getvalue()) for n in range(3)] + [
        (f"{n}.txt", f"the noise with the number {n}".encode()) for n in range(3)]))  # fmt: skip
    broken = data.index(b"1.jpg") + 150
    data[broken : broken + 3] = b"\xff\xff\xff"
    (folder / "00000.tar").write_bytes(data)
    (folder / "00000.parquet").write_bytes(b"")
    outcome = call("adopt", folder, "--run-dir", "run")
    assert outcome.code == 1
    assert "00000.parquet: the table cannot be read" in outcome.err
    assert "archives are damaged: about 2 records" in outcome.err
    assert "more than collect.max_broken" in outcome.err
    outcome = call("adopt", folder, "--run-dir", "run", "--to", "pack", "--set", "collect.max_broken=1")
    assert outcome.code == 0, outcome.err
    assert "archives are damaged: about 2 records" in outcome.out
    stats = json.loads((tmp_path / "run/stats.json").read_text())
    steps = {(step["stage"], step["step"]): step for step in stats["funnel"]}
    assert steps["fetch", "fetch"]["rejects"] == {"empty_body": 1}  # the sample whose image is lost
    assert steps["fetch", "fetch"]["rows_out"] == 2
    assert "00000.parquet: the table cannot be read" in (tmp_path / "run/report.html").read_text()


def tar_of(members) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, payload in members:
            info = tarfile.TarInfo(name)
            info.size = len(payload)
            tar.addfile(info, io.BytesIO(payload))
    return out.getvalue()
