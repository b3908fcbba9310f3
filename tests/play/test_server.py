"""The server answers its own page and refuses everybody else."""

import http.client
import json
import socket

import pytest

import funcnet as fn
from funcnet.play.server import MOST_BYTES, Server
from funcnet.play.session import Session
from tests.play.test_study import experiment
from tests.play.windows import serving


@pytest.fixture(scope="module")
def server():
    with serving(Session(experiment())) as found:
        yield found


def send(server, method="POST", path=None, body=b'{"do": "about"}', **headers):
    """The status, the headers and the body of an answer; a header of None is left out."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    given = {"Host": f"127.0.0.1:{server.port}", "Content-Type": "application/json", "Content-Length": str(len(body))}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.putrequest(method, path or f"/{server.token}/ask", skip_host=True, skip_accept_encoding=True)
        for name, value in given.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_the_page_and_its_requests(server):
    status, headers, body = send(server, "GET", f"/{server.token}/", b"")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Access-Control-Allow-Origin" not in headers
    assert server.token.encode() not in body
    status, headers, body = send(server, Origin=f"http://localhost:{server.port}", Host=f"localhost:{server.port}")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body)["total"] == 18


def test_it_listens_on_loopback_alone(server):
    assert server.server_address[0] == "127.0.0.1"
    assert len(server.token) >= 32


PORT = "{port}"
REFUSED = {
    "another host": (403, {"Host": "evil.example"}),
    "a name that resolves to loopback": (403, {"Host": f"evil.example:{PORT}"}),
    "the host without the port": (403, {"Host": "127.0.0.1"}),
    "no host": (403, {"Host": None}),
    "another origin": (403, {"Origin": "http://evil.example"}),
    "an origin of a file": (403, {"Origin": "null"}),
    "another port of this machine": (403, {"Origin": "http://127.0.0.1:1"}),
    "no token": (404, {"path": "/ask"}),
    "a wrong token": (404, {"path": "/" + "a" * 32 + "/ask"}),
    "the token and more": (404, {"path": "/TOKEN/ask/../ask"}),
    "a query": (404, {"path": "/TOKEN/ask?x=1"}),
    "a file": (404, {"method": "GET", "path": "/TOKEN/play.js"}),
    "the requests by GET": (404, {"method": "GET", "path": "/TOKEN/ask"}),
    "the page by POST": (404, {"path": "/TOKEN/"}),
    "not ASCII": (404, {"path": "/%C3%A9/ask"}),
    "PUT": (405, {"method": "PUT"}),
    "HEAD": (405, {"method": "HEAD"}),
    "OPTIONS": (405, {"method": "OPTIONS"}),
    "a form": (415, {"Content_Type": "application/x-www-form-urlencoded"}),
    "a text": (415, {"Content_Type": "text/plain"}),
    "no length": (411, {"Content_Length": None}),
    "a negative length": (411, {"Content_Length": "-1"}),
    "a long body": (413, {"Content_Length": str(MOST_BYTES + 1)}),
    "a very long body": (411, {"Content_Length": "9" * 400}),
    "not JSON": (400, {"body": b"{"}),
    "not UTF-8": (400, {"body": b'{"do": "\xff"}'}),
    "deep JSON": (400, {"body": b"[" * 100_000}),
    "another request": (400, {"body": b'{"do": "exit"}'}),
    "a list": (400, {"body": b"[1]"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_everything_else_is_refused(server, case):
    status, given = REFUSED[case]
    given = {
        name: value.replace(PORT, str(server.port)).replace("TOKEN", server.token) if isinstance(value, str) else value
        for name, value in given.items()
    }
    found, headers, body = send(server, **given)
    assert found == status
    assert headers["Content-Type"] == "application/json"
    if given.get("method") != "HEAD":
        assert json.loads(body).keys() == {"error"}
        assert len(body) < 300
    assert server.token.encode() not in body
    assert send(server)[0] == 200


def test_two_hosts_are_refused(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as line:
        host = f"Host: 127.0.0.1:{server.port}\r\n"
        line.sendall(f"GET /{server.token}/ HTTP/1.1\r\n{host}Host: evil.example\r\n\r\n".encode())
        assert line.recv(100).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("raw", [b"\x16\x03\x01\x02", b"GET\r\n\r\n", b"x" * 70_000, b"\r\n\r\n"])
def test_other_protocols_do_not_end_it(server, raw, capfd):
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as line:
        line.sendall(raw)
        line.shutdown(socket.SHUT_WR)
        while line.recv(4096):
            pass
    assert send(server)[0] == 200
    assert capfd.readouterr() == ("", "")


def test_an_error_of_the_program_is_printed(server, monkeypatch, capfd):
    monkeypatch.setattr(server.session, "answer", lambda request: {}["a mistake"])
    with pytest.raises(http.client.RemoteDisconnected):
        send(server)
    assert "KeyError: 'a mistake'" in capfd.readouterr().err


def test_an_error_is_one_line(server):
    status, _, body = send(server, body=json.dumps({"do": "set", "name": "a\nb", "value": 1}).encode())
    assert status == 400
    assert "\n" not in json.loads(body)["error"]


def test_a_port_that_is_taken(server):
    with pytest.raises(fn.FuncnetError, match=rf"--port {server.port}: cannot be used: .*; leave --port out"):
        Server(Session(experiment()), server.port)
    with pytest.raises(fn.FuncnetError, match="--port 70000: cannot be used"):
        Server(Session(experiment()), 70_000)


def test_a_port_is_free_again_once_a_server_has_ended():
    """Also with a connection that the server closed, as it does for a browser."""
    with Server(Session(experiment())) as first:
        port = first.port
        with socket.create_connection(("127.0.0.1", port), 10) as window:
            taken, _ = first.socket.accept()
            taken.close()
            assert window.recv(1) == b""
    with Server(Session(experiment()), port) as second:
        assert second.port == port
