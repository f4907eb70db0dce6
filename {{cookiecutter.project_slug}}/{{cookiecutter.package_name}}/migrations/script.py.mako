<%!
    from json import dumps
%>\
"""${message.rstrip(".") or "Empty"}."""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${dumps(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Apply the change."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Revert the change."""
    ${downgrades if downgrades else "pass"}
