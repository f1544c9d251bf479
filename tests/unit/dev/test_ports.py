"""Ports are free, kept, and out of the way of outgoing connections."""

import socket
from pathlib import Path

from tools.dev.ports import PortBook, free_port, is_free


def test_a_port_is_chosen_once_and_kept(tmp_path: Path) -> None:
    first = PortBook(tmp_path).get("amqp")
    assert PortBook(tmp_path).get("amqp") == first


def test_two_names_never_share_a_port(tmp_path: Path) -> None:
    book = PortBook(tmp_path)
    assert len({book.get(str(number)) for number in range(50)}) == 50


def test_a_port_somebody_listens_on_is_not_free() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)
    assert is_free(port)
