"""Exchanged members of samples that do not all have them; the rest is in tests/papers/test_pc2.py."""

from mmjax.data.sources import open_source

SAMPLES = [{"jpg": 0, "json": 0}, {"jpg": 1}, {"jpg": 2, "json": 2}, {"jpg": 3, "json": 3}]


class Some:
    """Four samples, of which the second has no fields."""

    def __len__(self):
        return len(SAMPLES)

    def __getitem__(self, i):
        return dict(SAMPLES[i])

    def members(self, i):
        return tuple(SAMPLES[i])


def test_a_sample_without_the_member_gives_none():
    source = open_source("mismatched:share=1,members=vector_2,of=latent:train,count=4")
    source._source, source._members = Some(), ["json"]
    made = [source[i] for i in range(4)]
    assert [sample["jpg"] for sample in made] == [0, 1, 2, 3] and not source.matched.any()
    assert sorted(sample["json"] for sample in made if "json" in sample) == [0, 2, 3]
    assert all(sample.get("json") != i for i, sample in enumerate(made))
    assert [set(sample) for sample in made] == [set(source.members(i)) for i in range(4)]
