"""A real identity provider, Canaille, with people, groups and a client; run as a process of its own.

    python provider.py PORT REDIRECT_URL CLIENT_SECRET PUBLIC_PORT

It names itself by PUBLIC_PORT: what stands there may pass its answers on changed.
"""

import sys
import tempfile

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

PASSWORD = "correct horse battery staple"
#: Who is in which group. Nobody gave "visitors" a role.
PEOPLE = {"ada": "credit-desk", "bob": "visitors", "carol": "operators", "dan": "credit-desk"}
#: More of the credit desk, one for each login: Canaille makes one person's access tokens of one second alike, and then
#: takes the second for a fault.
OTHERS = [f"p{n}" for n in range(32)]


def populate(redirect_url: str, secret: str) -> None:
    groups = {group: [] for group in PEOPLE.values()}
    for name, group in (PEOPLE | dict.fromkeys(OTHERS, "credit-desk")).items():
        person = models.User(
            user_name=name,
            formatted_name=f"{name.title()} Example",
            family_name="Example",
            emails=[f"{name}@example.com"],
            password=PASSWORD,
        )
        Backend.instance.save(person)
        groups[group].append(person)
    for group, members in groups.items():
        Backend.instance.save(models.Group(display_name=group, members=members))
    client = models.Client(
        client_id="onrecord",
        client_secret=secret,
        client_name="OnRecord",
        redirect_uris=[redirect_url],
        grant_types=["authorization_code"],
        response_types=["code"],
        scope=["openid", "profile", "groups"],
        token_endpoint_auth_method="client_secret_basic",
    )
    Backend.instance.save(client)
    client.audience = [client]
    Backend.instance.save(client)


def main(folder: str) -> None:
    port, redirect_url, secret, public_port = sys.argv[1:]
    app = create_app(
        {
            "SECRET_KEY": "for tests alone",
            "SERVER_NAME": f"127.0.0.1:{public_port}",
            "PREFERRED_URL_SCHEME": "http",
            # Its backend in memory finds codes that are not those it is asked for.
            "CANAILLE_SQL": {"DATABASE_URI": f"sqlite:///{folder}/people.sqlite"},
            # People are asked whether they agree, also on this machine.
            "CANAILLE_OIDC": {
                "TRUSTED_DOMAINS": [],
                "ACTIVE_JWKS": [RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"}).as_dict(private=True)],
            },
        }
    )
    with app.app_context(), Backend.instance.session():
        populate(redirect_url, secret)
    server = make_server("127.0.0.1", int(port), app, threaded=True)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(folder)
