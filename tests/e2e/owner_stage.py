# SPDX-License-Identifier: AGPL-3.0-only
"""Ownership: an enclave without owner, how it gets one, and who may do what afterwards."""

import modules
from rig import PLATFORM, host, wait_for


def unowned_answers_healthz_and_nothing_else(rig):
    anyone = rig.tls(root=False)
    answer = rig.get(None, "/healthz", context=anyone)
    assert answer.status == 200 and answer.json() == {"status": "ok"}, answer
    for method, path in OWNER_ROUTES + [("GET", "/api/v1/config/manifest"), ("GET", "/"),
                                        ("GET", "/.well-known/enclave-os/manifest")]:
        answer = rig.ask(None, method, path, context=anyone)
        assert answer.status == 404, (method, path, answer)


def unowned_refuses_provisioning_without_challenge(rig):
    answer = rig.ask(None, "POST", "/api/v1/provision", b"{}", context=rig.tls(root=False))
    assert answer.status == 403 and "challenge" in answer.text, answer


def unowned_refuses_a_wrong_token(rig):
    outcome = rig.provision(token="00" * 16)
    assert outcome.code == 4 and "token" in outcome.err, outcome


def unowned_nothing_is_sent_without_a_policy(rig):
    outcome = rig.provision("--address", f"127.0.0.1:{rig.port}", context=False)
    assert outcome.code == 2 and "policy" in outcome.err, outcome


def unowned_nothing_is_sent_to_another_enclave_than_the_policys(rig):
    policy = rig.make_policy("other.json", "ab" * 32)
    # The right token goes to nobody: were it sent, this enclave would have an owner now.
    outcome = rig.provision("--policy", policy)
    assert outcome.code == 22 and "identity.enclave" in outcome.out, outcome
    assert rig.get(None, "/healthz", context=rig.tls(root=False)).status == 200
    assert "unowned" in rig.ops("/readyz").text, rig.ops("/readyz")


def unowned_becomes_owned(rig):
    outcome = rig.provision()
    assert outcome.code == 0 and f"you own {PLATFORM}" in outcome.out, outcome
    wait_for("ready after provisioning", lambda: rig.ops("/readyz").status == 200)
    status = rig.own("mini", "status")
    assert status["platform_name"] == PLATFORM and status["generation"] >= 1, status
    assert status["ca"]["origin"] == "born_inside" and status["protection"] == "none", status


OWNER_ROUTES = [
    ("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/api/v1/status"), ("GET", "/api/v1/apps"),
    ("POST", "/api/v1/apps/hello"), ("POST", "/api/v1/apps:batch"), ("GET", "/api/v1/apps/hello"),
    ("DELETE", "/api/v1/apps/hello"), ("GET", "/api/v1/apps/hello/logs"), ("POST", "/rpc/hello/add"),
    ("POST", "/api/v1/ca"), ("POST", "/api/v1/factory-reset"), ("POST", "/api/v1/confirm-time")]


def owned_cannot_be_provisioned_again(rig):
    outcome = rig.provision()
    assert outcome.code == 4 and "404" in outcome.err, outcome


def owned_refuses_callers_without_certificate(rig):
    for method, path in OWNER_ROUTES:
        answer = rig.ask(PLATFORM, method, path)
        assert answer.status == 401 and answer.headers["WWW-Authenticate"], (method, path, answer)
        assert "error" in answer.json(), answer
    answer = rig.get(PLATFORM, "/api/v1/config/manifest?scope=platform")
    assert answer.status in (401, 403), answer


def owned_refuses_another_owners_key(rig):
    key = ("--owner-key", rig.work / "stranger/owner.key")
    module = rig.work / "any.wasm"
    module.write_bytes(modules.program("any"))
    for command in (("mini", "status"), ("mini", "rotate-ca", "--pki", rig.work / "stranger"),
                    ("mini", "factory-reset", "--confirm", "00" * 16), ("app", "list"),
                    ("app", "load", "any", module, "--hostname", host("any")),
                    ("app", "inspect", "any"), ("app", "unload", "any"), ("app", "logs", "any"),
                    ("app", "call", "any", "f")):
        outcome = rig.ctl(*command, *key)
        assert outcome.code == 4 and "403" in outcome.err, (command, outcome)
    assert rig.own("app", "list") == {"apps": []}


def owned_says_what_anyone_may_know(rig):
    assert rig.get(PLATFORM, "/healthz").status == 200
    for path in ("/api/v1/config/manifest?scope=policy", "/api/v1/config/history",
                 "/api/v1/config/proof?scope=policy&name=owner_key"):
        answer = rig.get(PLATFORM, path)
        assert answer.status == 200, (path, answer)
    assert rig.get(PLATFORM, "/nothing/here").status == 404
    answer = rig.ask(PLATFORM, "PUT", "/healthz")
    assert answer.status == 405 and "GET" in answer.headers["Allow"], answer


def owned_refuses_factory_reset_of_another_instance(rig):
    outcome = rig.ctl("mini", "factory-reset", "--confirm", "00" * 16)
    assert outcome.code == 4 and "403" in outcome.err, outcome
    assert rig.own("mini", "status")["platform_name"] == PLATFORM
