"""What apt says is read, and Erlang is made to work from where it was unpacked."""

from pathlib import Path

from tools.dev.packages import library_folders, parse_simulation, relocate

SIMULATION = """\
Reading package lists...
Inst libpopt0 (1.19+dfsg-1 Debian:12.15/oldstable [amd64])
Inst libssl3 [3.0.11-1~deb12u2] (3.0.17-1~deb12u2 Debian:12.15/oldstable [amd64])
Inst libc6 [2.36-9+deb12u3] (2.36-9+deb12u13 Debian:12.15/oldstable [amd64]) []
Inst libodbc2:amd64 (2.3.11-2 Debian:12.15/oldstable [amd64])
Inst rabbitmq-server (3.10.8-1.1+deb12u1 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [all])
Conf libpopt0 (1.19+dfsg-1 Debian:12.15/oldstable [amd64])
"""


def test_a_simulated_installation_names_packages_and_versions() -> None:
    assert parse_simulation(SIMULATION) == {
        "libpopt0": "1.19+dfsg-1",
        "libssl3": "3.0.17-1~deb12u2",
        "libodbc2": "2.3.11-2",
        "rabbitmq-server": "3.10.8-1.1+deb12u1",
    }


def test_the_c_library_is_never_unpacked_beside_the_systems() -> None:
    assert "libc6" not in parse_simulation(SIMULATION)


def test_erlang_starts_from_the_folder_it_will_lie_in_also_where_its_script_is_a_link(tmp_path: Path) -> None:
    real = tmp_path / "usr/lib/erlang/erts-13.1.5/bin/erl"
    link = tmp_path / "usr/lib/erlang/bin/erl"
    for script in (real, link):
        script.parent.mkdir(parents=True)
    real.write_text("#!/bin/sh\nROOTDIR=/usr/lib/erlang\n")
    link.symlink_to("../erts-13.1.5/bin/erl")

    relocate(tmp_path, Path("/cache/rabbit"))

    for script in (real, link):
        assert not script.is_symlink()
        assert script.read_text() == "#!/bin/sh\nROOTDIR=/cache/rabbit/usr/lib/erlang\n"
        assert script.stat().st_mode & 0o111


def test_only_folders_with_shared_libraries_are_searched_for_them(tmp_path: Path) -> None:
    (tmp_path / "usr/lib/x86_64-linux-gnu").mkdir(parents=True)
    (tmp_path / "usr/lib/erlang").mkdir()
    (tmp_path / "usr/lib/x86_64-linux-gnu/libpopt.so.0").touch()
    assert library_folders(tmp_path) == (tmp_path / "usr/lib/x86_64-linux-gnu",)
