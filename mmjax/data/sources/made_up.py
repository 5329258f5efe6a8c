"""What sources share whose samples are made, not stored."""


class MadeUp:
    """A source with the attribute `paths`, its spec alone, all of whose samples have the same members."""

    def url(self, i: int) -> str:
        """The spec."""
        return self.paths[0]

    def member_counts(self) -> dict[str, int]:
        """All samples have the same members."""
        return {", ".join(self.members(0)): len(self)}
