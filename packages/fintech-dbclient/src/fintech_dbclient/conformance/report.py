"""A report as plain text, for people and for continuous integration's logs."""

from collections.abc import Iterator

from fintech_dbclient.conformance.checks import Profile
from fintech_dbclient.conformance.kit import Report, Verdict


def lines_of(report: Report) -> Iterator[str]:
    """The report, line by line; statement and reply stand under what did not pass."""
    engine = report.engine or "no engine"
    yield f"{engine} at {report.url}, capabilities: {', '.join(report.capabilities) or 'none'}"
    for profile in Profile:
        results = [one for one in report.results if one.check.profile is profile]
        if not results:
            continue
        passed = sum(one.verdict is Verdict.PASS for one in results)
        yield ""
        yield f"{profile}: {passed} of {len(results)} pass"
        for one in results:
            detail = f": {one.detail}" if one.detail else ""
            promises = " ".join(one.check.promises)
            yield f"  {one.verdict:<13} {one.check.name} [{promises}]{detail}"
            if one.verdict in {Verdict.FAIL, Verdict.NOT_SUPPORTED} and one.statement:
                yield f"                sent  {one.statement}"
                yield f"                reply {one.reply}"
    yield ""
    if report.note:
        yield f"note: {report.note}"
    for profile in report.asked:
        unmet = len(report.unmet(profile))
        met = report.results and not unmet
        yield f"profile {profile}: {'met' if met else f'NOT met ({unmet} checks)'}"
