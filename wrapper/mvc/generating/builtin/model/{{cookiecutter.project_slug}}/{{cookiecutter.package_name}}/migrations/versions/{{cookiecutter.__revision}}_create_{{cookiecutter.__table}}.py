{%- set resource = cookiecutter | resource -%}
"""Create {{ cookiecutter.__table.replace("_", " ") }}."""

import sqlalchemy as sa
from alembic import op

revision = "{{ cookiecutter.__revision }}"
down_revision = {{ cookiecutter.__revision | predecessor(cookiecutter) }}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "{{ cookiecutter.__table }}",
{{ resource.migration | join("\n") }}
    )
{%- for line in resource.indexes %}
{{ line }}
{%- endfor %}


def downgrade() -> None:
    """Revert the change."""
    op.drop_table("{{ cookiecutter.__table }}")
