"""A device on slixmpp: logs in, takes connection requests, tells what happens, a line each.

device.py JID PASSWORD HOST PORT plain|starttls|direct CERTIFICATE|- MECHANISM|- CR_PASSWORD [misspelt]
"""

import sys

import slixmpp
from slixmpp.xmlstream import ElementBase, register_stanza_plugin
from slixmpp.xmlstream.handler import CoroutineCallback
from slixmpp.xmlstream.matcher import StanzaPath

jid, password, host, port, mode, certificate, mechanism, cr_password = sys.argv[1:9]
misspelt = "misspelt" in sys.argv


def say(*words):
    print(*words, flush=True)


class ConnectionRequest(ElementBase):
    name = "connectionRequest"
    namespace = "urn:broadband-forum-org:cwmp:xmppConnReq-1-0"
    plugin_attrib = "connection_request"
    interfaces = sub_interfaces = {"username", "password"}


register_stanza_plugin(slixmpp.Iq, ConnectionRequest)

device = slixmpp.ClientXMPP(jid, password, sasl_mech=None if mechanism == "-" else mechanism)
device.enable_plaintext = mode == "plain"
device.enable_starttls = mode == "starttls"
device.enable_direct_tls = mode == "direct"
device["feature_mechanisms"].unencrypted_plain = True
device["feature_mechanisms"].unencrypted_scram = True
if certificate != "-":
    device.ca_certs = certificate
device.register_plugin("xep_0199")


async def on_request(iq):
    asked = iq["connection_request"]
    say("request", asked["username"], "from", iq["from"])
    if asked["password"] == cr_password:
        iq.reply(clear=True).send()
    elif misspelt:
        device.send_raw(
            f"<iq type='error' id='{iq['id']}' to='{iq['from']}'><error code='503' type='cancel'>"
            "<not-autorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        )
    else:
        answer = iq.reply(clear=False)
        answer["type"] = "error"
        answer["error"]["type"] = "auth"
        answer["error"]["condition"] = "not-authorized"
        answer.send()


async def on_start(_):
    device.send_presence()
    await device["xep_0199"].ping(device.boundjid.domain)
    say("online", device.boundjid)


def on_failed(_):
    say("failed")
    device.loop.stop()


device.register_handler(CoroutineCallback("request", StanzaPath("iq@type=get/connection_request"), on_request))
device.add_event_handler("session_start", on_start)
device.add_event_handler("failed_all_auth", on_failed)
device.connect(host, int(port))
device.loop.run_forever()
