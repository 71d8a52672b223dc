"""A strange account: the sandbox's, known only by its AWS profile, with an opslib.toml that `init` wrote."""

import re
from dataclasses import dataclass
from pathlib import Path

from opslib import aws, config
from opslib.doctor import examination
from opslib.sandbox.control import Sandbox

ROOT = Path(__file__).parents[2]
NAME, PASSWORD = "shop", "OPSLIB_SHOP_DB_PASSWORD"


@dataclass
class Strange:
    """The project of somebody who has a profile and nothing else."""

    root: Path
    sandbox: Sandbox
    written: str

    @property
    def file(self) -> Path:
        return self.root / "opslib.toml"

    def reachable(self) -> str:
        """What a person adds to the written file: the way to the database, here through forwarded ports."""
        database = self.sandbox.info["environment"]["database"]
        way = f'auth = "password"\npassword_env = "{PASSWORD}"\nsslmode = "disable"\nhostaddr = "127.0.0.1"'
        text = re.sub(r'(?m)^auth = "iam"$', way, self.written)
        text = re.sub(r"(?m)^port = 5432$", f"port = {database['port']}", text)
        replica = f'replica_port = {database["replica_port"]}\nreplica_hostaddr = "127.0.0.1"'
        text = re.sub(r"(?m)^replica_port = 5432$", replica, text)
        return text.replace('timezone = "Asia/Tokyo"', 'timezone = "Asia/Tokyo"\nclock = "frozen"')

    def examined(self, text: str | None = None) -> examination.Examination:
        """Examine the account with this opslib.toml."""
        self.file.write_text(text or self.reachable(), encoding="utf-8")
        aws.forget()
        return examination.examine(config.load(NAME))
