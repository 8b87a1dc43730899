"""A simulated identity provider of a hospital: OpenID Connect, code flow with PKCE, a page to log in."""

from router.simulators.idp.people import PEOPLE, IdpPerson
from router.simulators.idp.simulator import IdpConfig, IdpSimulator
from router.simulators.idp.tokens import Wrong

__all__ = ["PEOPLE", "IdpConfig", "IdpPerson", "IdpSimulator", "Wrong"]
