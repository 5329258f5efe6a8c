"""The closing table: names taken apart, values in percent, columns aligned."""

import math

import pytest

from mmjax.evaluation.table import Metric, Row, closing_tables, format_table, parse_metric, percent


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("val/unseen/image_to_text_R@1", Metric("unseen", "image → text", "R@1")),
        ("unseen/text_to_image_R@10", Metric("unseen", "text → image", "R@10")),
        ("val/held_out/image_2_to_text_R@5", Metric("held_out", "image_2 → text", "R@5")),
        ("val_raw/unseen/image_to_text_R@5", Metric("val_raw/unseen", "image → text", "R@5")),
        ("val/test/bridge_to_old/vector_2_R@1", Metric("test", "bridge → old/vector_2", "R@1")),
        ("val/test/old/vector_to_old/vector_2_R@1", Metric("test", "old/vector → old/vector_2", "R@1")),
        ("val/groups/top1", Metric("groups", "", "top1")),
        ("val/probe/lp_acc1", Metric("probe", "", "lp_acc1")),
        ("val/few/4_shot_acc1", Metric("few", "", "4_shot_acc1")),
        ("val/scenes/group_score", Metric("scenes", "", "group_score")),
        ("val/unknown/auroc", Metric("unknown", "", "auroc")),
        ("val/hubs/raw_text_to_image_R@1", Metric("hubs", "raw_text → image", "R@1")),
    ],
)
def test_a_share_is_taken_apart(name, expected):
    assert parse_metric(name) == expected


@pytest.mark.parametrize("name", ["train/loss", "val/unseen/image_to_text_mean_rank", "image_to_text_R@1", "val/stop1"])
def test_other_metrics_are_no_shares(name):
    assert parse_metric(name) is None


@pytest.mark.parametrize(
    ("value", "text"), [(0.1949, "19.5"), (1.0, "100.0"), (0.0, "0.0"), (None, "–"), (math.nan, "–")]
)
def test_percent(value, text):
    assert percent(value) == text


def test_columns_are_aligned_and_absent_values_are_dashes():
    rows = [Row("seen", {"R@1/model": 0.19, "R@1/chance": 0.0026, "R@5/model": 1.0}), Row("unseen one", {})]
    assert format_table(rows, ["R@1/model", "R@1/chance", "R@5/model"]).splitlines() == [
        "                      R@1    R@5",
        "            model  chance  model",
        "seen         19.0     0.3  100.0",
        "unseen one      –       –      –",
    ]


def test_columns_without_a_source_have_one_line_of_headings_that_may_be_wider_than_the_values():
    assert format_table([Row("a", {"accuracy": 0.5, "R@1": 0.25})], ["accuracy", "R@1"]).splitlines() == [
        "   accuracy   R@1",
        "a      50.0  25.0",
    ]


def test_a_table_of_no_rows_is_its_headings():
    assert format_table([], ["R@1"]) == "  R@1"


def test_closing_tables_set_sources_side_by_side_and_part_rows_by_their_measures():
    model = {
        "train/loss": 2.0,
        "val/unseen/image_to_text_R@1": 0.06,
        "val/unseen/image_to_text_R@5": 0.22,
        "val/unseen/text_to_image_R@1": 0.07,
        "val/unseen/text_to_image_R@5": 0.2,
        "val/groups/acc1": 0.5,
    }
    chance = {"val/unseen/image_to_text_R@1": 0.005, "val/groups/acc1": 0.1}
    retrieval, groups = closing_tables({"model": model, "chance": chance, "ridge": {}})
    assert retrieval.columns == ("R@1/model", "R@1/chance", "R@5/model")
    assert retrieval.headings() == [("R@1", ["model", "chance"]), ("R@5", ["model"])]
    assert [row.name for row in retrieval.rows] == ["unseen: image → text", "unseen: text → image"]
    assert retrieval.cells() == [["6.0", "0.5", "22.0"], ["7.0", "–", "20.0"]]
    assert groups.columns == ("acc1/model", "acc1/chance")
    assert groups.cells() == [["50.0", "10.0"]]


def test_no_shares_give_no_table():
    assert closing_tables({"model": {"train/loss": 1.0}}) == []
