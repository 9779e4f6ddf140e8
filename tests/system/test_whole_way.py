"""From a label to a draft pull request, through real processes."""

from pathlib import Path

from bot.standin import sample
from tests.system.rig import rig


async def test_a_label_becomes_one_comment_and_a_draft_pull_request_with_the_fix(tmp_path: Path) -> None:
    async with rig(tmp_path) as product:
        await product.start()
        await product.install()
        number = await product.ask_by_label()

        (job,) = await product.until(product.finished_jobs)

        assert (job["status"], job["cause"]) == ("COMPLETED", "pull_request")
        thread = product.thread(number)
        (comment,) = thread.comments
        assert "Draft pull request #2 is ready" in comment.body
        assert [reaction.content for reaction in thread.reactions] == ["eyes"]
        pull = product.thread(2).pull
        assert pull.is_draft
        records = await product.rows('SELECT "when", "exitCode", tier FROM verifications ORDER BY id')
        assert [(row["when"], row["exitCode"]) for row in records] == [("before", 1), ("after", 0)]
        assert sample.PERSON in [user.login for user in product.thread(2).assignees]
