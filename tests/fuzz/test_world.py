"""What the other tests here rely on: the world has served everything before it is looked at."""

from tests.fuzz.clients import Client
from tests.fuzz.world import World


def test_a_client_that_has_connected_is_accepted_when_the_world_has_settled() -> None:
    """Also in the time that asyncio has to itself, after a turn of traffic."""
    world = World({"line": {"type": "stream"}})
    clients = []
    for count in range(1, 51):
        clients.append(Client(world, "line"))
        world.settle()
        assert len(list(world.supervisor.peers())) == count
    for client in clients:
        client.end()
    world.end()
