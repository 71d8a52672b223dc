"""Print which alarms each scenario raises, as JSON: a process of its own, since the clock is process-wide."""

import importlib
import json
import sys

from opslib.sandbox import backend, base_life, life
from opslib.sandbox.clock import Clock


def main(names: list[str]) -> None:
    """Lay each scenario over the base life and let the shop's alarms look at it."""
    clock = Clock.start(frozen=True)
    from opslib.sandbox.services import Services
    from opslib.sandbox.settings import Settings
    from opslib.sandbox.shop_alarms import ShopAlarms

    backend.prepare_environment(0)
    backend.load_ministack()
    cloudwatch = importlib.import_module("ministack.services.cloudwatch")
    where = base_life.location().life
    raised, lived = {}, life.load(where)
    for name in names:
        cloudwatch.reset()
        services = Services.of(lived, life.overlay(name, where), clock, Settings())
        ShopAlarms(services).install(clock.now().timestamp())
        held = [*cloudwatch._alarms._data.items(), *cloudwatch._composite_alarms._data.items()]
        raised[name] = sorted({key[2] for key, alarm in held if alarm["StateValue"] == "ALARM"})
    print(json.dumps(raised))


if __name__ == "__main__":
    main(sys.argv[1:])
