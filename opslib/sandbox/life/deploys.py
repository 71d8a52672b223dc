"""What changed in 30 days: deploys of services, builds of the front end, scaling, maintenance."""

import hashlib
from typing import Any

import numpy as np

from opslib.sandbox.life.rhythm import DAY, HOUR, JAPAN, MINUTE, NOW_MS, generator, iso
from opslib.sandbox.life.shop import SERVICES
from opslib.sandbox.life.store import Events

START = NOW_MS - 30 * DAY
NOTES = {
    "web": ("商品ページの表示を軽く", "Next.js を更新", "カート画面の文言", "画像の遅延読み込み"),
    "api": ("検索の並び順を修正", "注文履歴の N+1 を解消", "依存ライブラリ更新", "配送日計算の修正"),
    "worker": ("再試行の間隔を変更", "倉庫 API のタイムアウトを 5 秒に", "ログの整理"),
    "batch": ("売上日報に店舗別を追加", "在庫同期の差分化"),
    "auth": ("セッション更新の見直し", "鍵のローテーション"),
    "notifier": ("メール文面の更新", "SES 設定セットを追加"),
}
TOPICS = ("cart", "review", "gift", "points")
PEOPLE = ("nakamura.sho", "kobayashi.rei", "kato.haruka")


def _office_hours(rng: np.random.Generator, count: int) -> list[int]:
    """Return instants on working days between 10:00 and 17:00 in Japan."""
    first = (START + JAPAN) // DAY + 1
    days = [day for day in range(first, (NOW_MS + JAPAN) // DAY) if (day + 3) % 7 < 5]
    chosen = [days[int(share * len(days))] for share in rng.random(count)]
    clock = (10 * HOUR + rng.random(count) * 7 * HOUR).astype(np.int64).tolist()
    return sorted(day * DAY - JAPAN + at // MINUTE * MINUTE for day, at in zip(chosen, clock, strict=True))


def deploy(service: str, at: int, version: str, by: str, note: str) -> dict[str, Any]:
    """Return one deploy of a service."""
    repository = f"000000000000.dkr.ecr.ap-northeast-1.amazonaws.com/shop-{service}"
    return {
        "service": service, "version": version, "started": iso(at - 3 * MINUTE), "finished": iso(at), "by": by,
        "status": "COMPLETED", "image": f"{repository}:{version}", "note": note,
    }  # fmt: skip


def _deploys() -> list[dict[str, Any]]:
    found = []
    for service in SERVICES:
        rng = generator(f"deploys {service}")
        times = _office_hours(rng, {"web": 9, "api": 11}.get(service, 4))
        for number, at in enumerate(times, start=1):
            day = iso(at + JAPAN)[:10].replace("-", ".")
            note = NOTES[service][int(rng.random() * len(NOTES[service]))]
            found.append(deploy(service, at, f"{day}-{number}", PEOPLE[int(rng.random() * 3)], note))
    return sorted(found, key=lambda event: (event["finished"], event["service"]))


def _builds() -> list[dict[str, Any]]:
    rng, found = generator("builds"), []
    for number, at in enumerate(_office_hours(rng, 64), start=301):
        main = rng.random() < 0.35
        failed, seconds = rng.random() < 0.06, 170 + int(rng.random() * 150)
        found.append({
            "app": "d2shopexample", "branch": "main" if main else f"feature/{TOPICS[number % 4]}", "id": number,
            "status": "FAILED" if failed else "SUCCEED", "started": iso(at), "finished": iso(at + seconds * 1000),
            "commit": hashlib.sha1(str(number).encode()).hexdigest(), "message": NOTES["web"][number % 4],
            "by": PEOPLE[number % 3],
        })  # fmt: skip
    return found


def _scaling() -> list[dict[str, Any]]:
    """Return the evening's scale-out of web and api, and the scale-in at night."""
    first = (START + JAPAN) // DAY + 1
    found = []
    for day in range(first, (NOW_MS + JAPAN) // DAY):
        for service, usual in (("api", 6), ("web", 4)):
            for hour, before, after in ((19, usual, usual + 2), (23, usual + 2, usual)):
                at = day * DAY - JAPAN + hour * HOUR + (day * 7 + usual) % 20 * MINUTE
                cause = "CPUUtilization > 60 %" if after > before else "CPUUtilization < 35 %"
                found.append({"at": iso(at), "service": service, "from": before, "to": after, "cause": cause})
    return sorted(found, key=lambda event: (event["at"], event["service"]))


def _maintenance() -> list[dict[str, Any]]:
    sunday = next(day for day in range((NOW_MS + JAPAN) // DAY, 0, -1) if (day + 3) % 7 == 6)
    found = []
    for weeks in (3, 2, 1, 0, -1):
        at = (sunday - 7 * weeks) * DAY - JAPAN + 4 * HOUR
        status = "pending" if at > NOW_MS else "completed"
        what = "minor version 16.9 -> 16.10" if weeks == 2 else "window without work" if at < NOW_MS else "OS patch"
        found.append(
            {"resource": "shop-db", "start": iso(at), "end": iso(at + HOUR // 2), "what": what, "status": status}
        )
    return found


def events() -> Events:
    """Return what happened to the application in 30 days, oldest first."""
    return {
        "deploys": _deploys(), "amplify_builds": _builds(), "scaling": _scaling(), "maintenance": _maintenance()
    }  # fmt: skip
