import numpy as np
import pytest

from casae import Inspector
from casae.inspection.measurement import measure
from casae.inspection.regions import find_regions
from casae.inspection.sizes import FARTHEST, features, standardised, weigh
from casae.models.bundle import Bundle, SizeClasses, read_bundle, write_bundle
from conftest import brightness_classifier, dark_manifest, dark_segmenter

BY_AREA = SizeClasses(  # class 1 is larger than 64 px, class 0 smaller
    mean=(0, 0, float(np.log(64)), 0, 0, 0),
    deviation=(1, 1, 0.5, 1, 1, 1),
    weights=((0,) * 12, (0, 0, 9) + (0,) * 9),
    bias=(0, 0),
)


def measures_of(side: int, inside: int = 50):
    mask = np.zeros((40, 40), bool)
    mask[5 : 5 + side, 5 : 5 + side] = True
    return measure(find_regions(mask)[0], np.where(mask, inside, 200).astype(np.uint8), mask)


def test_features_are_logarithms_contrast_and_direction():
    table = features([measures_of(10), measures_of(1)])
    assert table[0] == pytest.approx([np.log(10), np.log(10), np.log(100), -150 / 255, 0, 0], abs=1e-6)
    assert table[1, :3] == pytest.approx([0, 0, 0])
    lying = measures_of(10).model_copy(update={"length_px": 40.0})
    turned = [lying.model_copy(update={"angle_deg": angle}) for angle in (0.0, 45.0, 90.0)]
    assert features(turned)[:, 4:] == pytest.approx(np.array([[0.75, 0], [0, 0.75], [-0.75, 0]]))
    assert features([]).shape == (0, 6)


def test_what_was_never_seen_counts_as_the_farthest_that_was():
    z = standardised(np.array([[100.0, 0, 0, 0]]), (0, 0, 0, 0), (1, 1, 1, 1))
    assert z.tolist() == [[FARTHEST, 0, 0, 0, FARTHEST**2, 0, 0, 0]]


def test_sizes_decide_where_the_network_does_not_know():
    even = np.full((2, 2), 0.5, np.float32)
    small, large = weigh(BY_AREA, even, [measures_of(4), measures_of(16)])
    assert small.argmax() == 0
    assert large.argmax() == 1
    assert small.sum() == pytest.approx(1)
    sure = weigh(BY_AREA, np.array([[1.0, 0.0]], np.float32), [measures_of(9)])
    assert sure.argmax() == 0


def test_a_model_names_defects_by_their_sizes_too(spotted, tmp_path):
    """The bar has 80 px, the spot 36; the network itself takes both for glare."""
    for name, sizes in (("plain", None), ("sized", BY_AREA)):
        bundle = Bundle(dark_manifest(sizes=sizes), dark_segmenter(), brightness_classifier(), "")
        write_bundle(bundle, tmp_path / f"{name}.casae")
    assert read_bundle(tmp_path / "sized.casae").manifest.sizes == BY_AREA
    named = [[d.name for d in Inspector(tmp_path / f"{n}.casae").inspect(spotted).defects] for n in ("plain", "sized")]
    assert named == [["glare", "glare"], ["glare", "stain"]]
