"""What is written back stands in the user's warehouse, and nowhere else."""

from __future__ import annotations

import duckdb

from connect.testing.smtp import SmtpServer
from tests.stories.no_contact_data_at_rest.house import House


def test_through_every_outcome(tmp_path):
    with SmtpServer() as server:
        house = House.with_smtp(tmp_path, server)
    house.people()
    house.campaign("letter")
    project = house.project / "connect.yml"
    project.write_text(f"{project.read_text()}destination: {{include: [id, address]}}\n")
    assert house.run("destination", "init", "--yes").returncode == 0
    reasons = house.reasons("letter")
    house.run("destination", "show")
    house.run("report", "letter")
    assert house.found() == set()
    with duckdb.connect(str(house.project / "shop.duckdb")) as shop:
        assert shop.execute("select sum(deliveries) from connect_deliveries").fetchall() == [(reasons.total(),)]
        rows = shop.execute("select id, address from connect_deliveries").fetchall()
    assert {"Kunde-01zQ7-Zaunkoenig", "Kanarie-sent-01zQ7@vogelhaus.example"} <= {cell for row in rows for cell in row}
