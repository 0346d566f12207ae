"""How servers on this database have made requests: their user agent and the name of their signature's header."""

from __future__ import annotations

from ..domain.request import Composer
from .database import Database


class Composers:
    """Few and small: one for each version and setting that has ever served. None is removed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    FIND = "select id from composers where user_agent = $1 and signature_header = $2"
    ADD = "insert into composers (user_agent, signature_header) values ($1, $2) on conflict do nothing"

    async def note(self, user_agent: str, signature_header: str) -> Composer:
        """The composer with the id by which attempts name it; nodes that are set up alike share one."""
        async with self._database.connection() as connection:
            found = await connection.fetchval(self.FIND, user_agent, signature_header)
            if found is None:
                await connection.execute(self.ADD, user_agent, signature_header)
                found = await connection.fetchval(self.FIND, user_agent, signature_header)
        return Composer(user_agent, signature_header, found)

    ALL = "select id, user_agent, signature_header from composers"

    async def all(self) -> dict[int, Composer]:
        """By id."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(self.ALL)
        return {row["id"]: Composer(row["user_agent"], row["signature_header"], row["id"]) for row in rows}
