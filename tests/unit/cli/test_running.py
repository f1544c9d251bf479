"""One process of each service on one machine: every one has an address, and what is set stays."""

from trellis.cli.running import environment_of_all


def test_each_service_gets_addresses_of_its_own_and_the_others_know_them() -> None:
    made = environment_of_all(["ingest", "greenhouse-actions"], {"TRELLIS_INGEST_LISTEN": "0.0.0.0:80"})
    assert made["TRELLIS_INGEST_LISTEN"] == "0.0.0.0:80"
    assert made["TRELLIS_GREENHOUSE_ACTIONS_LISTEN"] == "127.0.0.1:8081"
    assert made["TRELLIS_GREENHOUSE_ACTIONS_URL"] == "http://127.0.0.1:8081"
    assert len({made[name] for name in made if name.endswith("ADMIN_LISTEN")}) == 2
