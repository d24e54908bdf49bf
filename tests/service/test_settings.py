from casae.service.settings import database_of


def test_the_records_of_a_home_are_where_its_settings_say(tmp_path, monkeypatch):
    monkeypatch.delenv("CASAE_SERVE_DATABASE", raising=False)
    assert database_of(tmp_path) == str(tmp_path)
    assert database_of("postgresql://casae@db/casae") == "postgresql://casae@db/casae"
    (tmp_path / "casae.toml").write_text('database = "postgresql://casae@db/hall-2"\n')
    assert database_of(str(tmp_path)) == "postgresql://casae@db/hall-2"
    assert database_of(tmp_path, "postgresql://casae@other/casae") == "postgresql://casae@other/casae"
