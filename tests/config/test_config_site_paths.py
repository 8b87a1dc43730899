"""Relative paths of the site file start at its folder; what the file does not say stays unsaid."""

from __future__ import annotations

from pathlib import Path

from router.bus.settings import SqliteBusConfig
from router.config.site import Site
from router.directory.settings import LISTE_BLANCHE_URL
from router.runtime.site_services import SiteServices

TEXT = """
environment: qualification
data: {data}
{bus}
feeds: {{labo: {{kind: relay, http: true}}}}
http: {{port: 0}}
sinks: {{hl7.dpi: {{type: hl7, host: 127.0.0.1, port: 9}}}}
"""


def _bus(tmp_path: Path, data: str, bus: str = "") -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "router.yaml").write_text(TEXT.format(data=data, bus=bus))
    config = SiteServices(Site(folder / "router.yaml")).bus_config()
    assert isinstance(config, SqliteBusConfig)
    return config.path


def test_the_embedded_bus_is_in_the_data_folder(tmp_path: Path) -> None:
    """A site whose data are elsewhere has its bus there too: beside the site file a container can't write."""
    assert _bus(tmp_path, str(tmp_path / "data")) == tmp_path / "data" / "bus.db"


def test_a_bus_without_a_path_is_in_the_data_folder(tmp_path: Path) -> None:
    """To say the type of the bus is not to say where it is."""
    assert _bus(tmp_path, str(tmp_path / "data"), "bus: {type: sqlite}") == tmp_path / "data" / "bus.db"


def test_a_bus_that_is_named_is_where_the_file_says(tmp_path: Path) -> None:
    """A relative path starts at the folder of the site file."""
    assert _bus(tmp_path, "var", "bus: {type: sqlite, path: bus/bus.db}") == tmp_path / "site" / "bus" / "bus.db"


def test_a_list_in_a_file_is_beside_the_site_file(tmp_path: Path) -> None:
    """Liste blanche and extraction: a relative file starts at the folder of the site file, like every other path."""
    files = "directory: {liste_blanche: {source: liste.xml}, annuaire: {extraction: ann/e.zip}}"
    (tmp_path / "router.yaml").write_text(TEXT.format(data="var", bus=files))
    directory = Site(tmp_path / "router.yaml").config.directory
    assert directory.liste_blanche.source == str(tmp_path / "liste.xml")
    assert directory.annuaire.extraction == str(tmp_path / "ann" / "e.zip")


def test_an_address_stays_as_it_is(tmp_path: Path) -> None:
    """Also the default one, and an absolute path."""
    text = TEXT.format(data="var", bus="directory: {annuaire: {extraction: https://annuaire.example/e.zip}}")
    (tmp_path / "router.yaml").write_text(text)
    directory = Site(tmp_path / "router.yaml").config.directory
    assert directory.annuaire.extraction == "https://annuaire.example/e.zip"
    assert directory.liste_blanche.source == LISTE_BLANCHE_URL
    assert "source" not in directory.liste_blanche.model_fields_set
