# SPDX-License-Identifier: AGPL-3.0-only
"""Apps: both ways to be called, their limits, and what is refused."""
import http.client
import json
import random
from concurrent.futures import ThreadPoolExecutor

import modules
from rig import BODY_CANARY, ENV_CANARY, PLATFORM, Channel, host, wait_for

MEBIBYTE = 1 << 20


def apps_cgi_answers_get_and_echoes_post(rig):
    rig.must_load("hello", rig.hello, "--public-env", "GREETING=salve", "--env",
                  f"API_KEY={ENV_CANARY}")
    answer = rig.get(host("hello"), "/?a=b", headers={"User-Agent": "e2e"})
    assert answer.status == 200 and answer.headers["X-App"] == "hello-cgi", answer
    for line in ("REQUEST_METHOD=GET", "QUERY_STRING=a=b", "GREETING=salve", "EOS_APP=hello",
                 f"SERVER_NAME={host('hello')}", "HTTP_USER_AGENT=e2e"):
        assert line in answer.text.splitlines(), (line, answer)
    body = BODY_CANARY.encode() + random.Random(1).randbytes(300_000)
    answer = rig.ask(host("hello"), "POST", "/echo", body)
    assert answer.status == 200 and answer.body == body, answer.status
    assert rig.get(host("hello"), "/no-such-page").status == 404
    answer = rig.get(host("hello"), "/fail")
    assert answer.status == 502 and answer.json()["exit_code"] == 3, answer


def apps_get_their_arguments_and_environment(rig):
    rig.must_load("facts", modules.FACTS, "--arg", "one", "--arg", "two words", "--env",
                  "SECRET=s3cret", "--public-env", "OPEN=yes")
    answer = rig.get(host("facts"), "/", headers={"X-Thing": "1", "Proxy": "evil"})
    assert answer.status == 200, answer
    found = answer.body.split(b"\0")
    assert found[:3] == [b"facts", b"one", b"two words"], found
    assert {b"SECRET=s3cret", b"OPEN=yes", b"HTTP_X_THING=1", b"HTTPS=on"} <= set(found), found
    assert not any(f.startswith(b"HTTP_PROXY") for f in found), found
    # Others see that there is a secret, and not what it is.
    shown = rig.get(host("facts"), "/.well-known/enclave-os/manifest?scope=workload")
    assert "OPEN" in shown.text and "SECRET" in shown.text and "s3cret" not in shown.text, shown


def apps_json_calls(rig):
    rig.must_load("text", rig.text_json)

    def call(function, body):
        return rig.ask(host("text"), "POST", f"/rpc/text/{function}", body,
                       {"Content-Type": "application/json"})
    answer = call("reverse", b'{"args":["abc"]}')
    assert answer.status == 200, answer
    assert answer.json() == {"status": "ok", "returns": [{"type": "string", "value": "cba"}]}, answer
    assert call("add", b'{"args":{"a":"40","b":2}}').json()["returns"][0]["value"] == "42"
    for bad in (b'{"args":[1]}', b'{"args":["a","b","c"]}', b'{"args":[1', b'[]'):
        answer = call("add", bad)
        assert answer.status == 400 and answer.json()["error"], (bad, answer)
    assert call("no_such_function", b'{"args":[]}').status == 404
    assert rig.ask(host("text"), "POST", "/rpc/hello/add", b"{}").status == 404
    answer = call("divide", b'{"args":[1,0]}')
    assert answer.status == 502 and answer.json()["trap"] == "integer_divide_by_zero", answer
    assert rig.own("app", "call", "text", "is_even", "4")["returns"][0]["value"] is True


def apps_infinite_loop_runs_out_of_fuel_and_holds_up_nobody(rig):
    rig.must_load("spin", modules.program("never", modules.SPIN), "--max-fuel", "30000000")
    with ThreadPoolExecutor(1) as pool:
        loop = pool.submit(Channel(rig, host("spin"), timeout=120).ask, "GET", "/")
        meanwhile = 0
        while not loop.done():
            assert rig.get(host("hello"), "/").status == 200
            meanwhile += not loop.done()
    answer = loop.result()
    assert answer.status == 502 and answer.json()["trap"] == "fuel_exhausted", answer
    assert meanwhile >= 3, f"{meanwhile} answers of another app while the loop ran"


def apps_traps_are_named(rig):
    rig.must_load("trap", modules.program("never", modules.TRAP))
    answer = rig.get(host("trap"), "/")
    assert answer.status == 502 and answer.json()["trap"] == "integer_divide_by_zero", answer


def apps_memory_bomb_is_stopped(rig):
    rig.must_load("bomb", modules.program("never", modules.MEMORY_BOMB))
    answer = rig.get(host("bomb"), "/")
    assert answer.status == 502 and answer.json()["trap"] == "memory_limit", answer
    assert rig.get(host("hello"), "/").status == 200


def apps_malformed_module_changes_nothing(rig):
    before = rig.own("app", "inspect", "hello")
    broken = bytearray(rig.hello)
    broken[40:48] = b"\xff" * 8
    for module in (bytes(broken), rig.hello[:-100], b"\0asm\x02\0\0\0", b"#!/bin/sh\n"):
        outcome = rig.load("hello", module)
        assert outcome.code == 4 and "400" in outcome.err, outcome
        assert any(word in outcome.err for word in ("byte", "offset", "position")), outcome
    assert rig.own("app", "inspect", "hello") == before
    assert rig.get(host("hello"), "/").status == 200


def apps_foreign_import_is_refused_by_name(rig):
    module = modules.assemble('(module (import "env" "system" (func)) (func (export "_start")))')
    outcome = rig.load("foreign", module)
    assert outcome.code == 4 and "system" in outcome.err, outcome
    assert rig.get_refused(host("foreign"))


def apps_too_large_upload_is_refused(rig):
    outcome = rig.load("large", modules.program("x") + bytes(16 * MEBIBYTE + 65536))
    assert outcome.code == 4 and "413" in outcome.err, outcome
    assert rig.get_refused(host("large"))


def apps_too_large_body_is_refused_before_it_is_read(rig):
    name = host("hello")
    head = (f"POST /echo HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n"
            f"Content-Length: {MEBIBYTE + 1}\r\n\r\n")
    # No body is sent: the head alone must be answered.
    answer = rig.raw(name, head.encode())
    assert answer.startswith(b"HTTP/1.1 413 "), answer[:200]
    chunked = (f"POST /echo HTTP/1.1\r\nHost: {name}\r\nTransfer-Encoding: chunked\r\n\r\n"
               f"{MEBIBYTE + 1:x}\r\n").encode() + bytes(MEBIBYTE + 1) + b"\r\n0\r\n\r\n"
    assert rig.raw(name, chunked).startswith(b"HTTP/1.1 413 ")
    body = bytes(MEBIBYTE)
    assert rig.ask(name, "POST", "/echo", body).status in (200, 502)


def apps_hostname_of_another_app_is_refused(rig):
    module = rig.work / "thief.wasm"
    module.write_bytes(modules.program("thief"))
    for name in (host("hello"), PLATFORM):
        outcome = rig.ctl("app", "load", "thief", module, "--hostname", name)
        assert outcome.code == 4 and "409" in outcome.err, (name, outcome)


def apps_hostname_outside_the_name_constraints_is_refused(rig):
    module = rig.work / "thief.wasm"
    for name in ("hello.example.org", "notexample.test"):
        outcome = rig.ctl("app", "load", "thief", module, "--hostname", name)
        assert outcome.code == 4 and "403" in outcome.err, (name, outcome)


def apps_several_changes_are_one(rig):
    for name in ("first", "second"):
        rig.must_load(name, modules.program(name))
    before = rig.own("mini", "status")
    batch = rig.work / "apps.json"
    third = {"name": "third", "module": "third.wasm", "hostname": host("third"),
             "env": [{"name": "KEY", "value": "k"}, {"name": "OPEN", "value": "o", "public": True}]}
    (rig.work / "third.wasm").write_bytes(modules.program("third"))
    (rig.work / "first.wasm").write_bytes(modules.program("first again"))
    first = {"name": "first", "module": "first.wasm", "hostname": host("first")}
    batch.write_text(json.dumps({"apps": [first, third], "unload": ["second"]}))
    bystander = Channel(rig, host("hello"))
    replaced = Channel(rig, host("first"))
    assert bystander.ask("GET", "/").status == 200
    assert replaced.ask("GET", "/").text == "first"
    changed = rig.own("app", "apply", batch)
    assert [c["status"] for c in changed["changes"]] == ["replaced", "loaded", "unloaded"], changed
    assert changed["generation"] == before["generation"] + 1, changed
    assert rig.get(host("first"), "/").text == "first again"
    assert rig.get(host("third"), "/").status == 200
    assert rig.get_refused(host("second"))
    # The connection to an app that was not changed goes on; that to a replaced one is over.
    assert bystander.ask("GET", "/").status == 200
    try:
        answer = replaced.ask("GET", "/")
        assert False, f"answered under an old proof: {answer}"
    except (http.client.HTTPException, OSError):
        pass


def apps_of_a_batch_with_one_bad_change_nothing_is_done(rig):
    before = rig.own("app", "list")
    (rig.work / "good.wasm").write_bytes(modules.program("good"))
    (rig.work / "bad.wasm").write_bytes(b"no module at all")
    batch = rig.work / "apps.json"
    batch.write_text(json.dumps({"apps": [
        {"name": name, "module": f"{name}.wasm", "hostname": host(name)} for name in ("good", "bad")]}))
    outcome = rig.ctl("app", "apply", batch)
    assert outcome.code == 4 and "nothing was changed" in outcome.err and "bad: " in outcome.err, outcome
    assert "good: " not in outcome.err, outcome
    assert rig.own("app", "list") == before
    assert rig.get_refused(host("good"))


def apps_logs_are_the_owners(rig):
    lines = rig.own("app", "logs", "hello")["lines"]
    assert any(line["text"] == "greeted someone" for line in lines), lines
    assert rig.get(PLATFORM, "/api/v1/apps/hello/logs").status == 401
    after = lines[-1]["sequence"]
    assert rig.own("app", "logs", "hello", "--after", after)["lines"] == []


def apps_followed_log_is_cut_at_drain_and_goes_on_where_it_was(rig):
    """The stream ends with its connection, when the drain time (30 s) is over; enclavectl verifies again."""
    last = rig.own("app", "logs", "hello")["lines"][-1]["sequence"]
    out, err = rig.work / "follow.out", rig.work / "follow.err"
    with open(out, "wb") as said, open(err, "wb") as remarks:
        follower = rig.start_ctl("app", "logs", "hello", "--follow", "--after", last, stdout=said,
                                 stderr=remarks)

    def count():
        return out.read_text().count("greeted someone")
    try:
        wait_for("it is connected", lambda: "server " in err.read_text())
        assert rig.get(host("hello"), "/").status == 200
        wait_for("the line", lambda: count() == 1)
        rig.must_load("drain", modules.program("drain"))
        # What the connection was shown is no longer true; until it is cut the stream goes on.
        assert rig.get(host("hello"), "/").status == 200
        wait_for("the next line", lambda: count() == 2)
        assert "verifying the server again" not in err.read_text()
        wait_for("the cut", lambda: "verifying the server again" in err.read_text(), 60)
        assert rig.get(host("hello"), "/").status == 200
        wait_for("the line after", lambda: count() == 3)
    finally:
        follower.kill()
        follower.wait()
    assert rig.ctl("app", "logs", "nobody", "--follow").code == 4


def apps_unloaded_name_is_gone(rig):
    rig.must_load("gone", modules.program("here"))
    assert rig.get(host("gone"), "/").text == "here"
    assert rig.own("app", "unload", "gone")["status"] == "unloaded"
    assert rig.get_refused(host("gone"))
    outcome = rig.ctl("app", "inspect", "gone")
    assert outcome.code == 4 and "404" in outcome.err, outcome
