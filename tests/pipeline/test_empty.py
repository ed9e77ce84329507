"""A run that finds nothing to ask for says what it found instead, and ends with 1."""

from pipeline.cli import main


def test_a_table_without_captions(tmp_path, capsys):
    table = tmp_path / "urls.csv"
    table.write_text("url,caption\nhttp://127.0.0.1/a.jpg,\nhttp://127.0.0.1/b.jpg,b.jpg\n")
    run = tmp_path / "run"
    assert main(["run", "urls", "--run-dir", str(run), "--set", f"collect.tables.paths=[{table}]"]) == 1
    said = capsys.readouterr().err
    assert "rejects: caption_empty 1, caption_is_file_name 1" in said
    assert not (run / "manifest/collect.json").exists()


def test_a_site_that_does_not_answer(tmp_path, capsys):
    words = ["--set", "collect.crawl.seeds=[http://nobody.test/]", "--set", 'web.connect_to={"*:80": "127.0.0.1:9"}']
    assert main(["run", "site", "--run-dir", str(tmp_path / "run"), *words]) == 1
    assert "pages: robots_unavailable 1" in capsys.readouterr().err
