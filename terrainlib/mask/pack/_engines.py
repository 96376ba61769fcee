"""How a world-builder's pack is imported, engine by engine, one sentence or two a step.

The orientation and the scales follow what the engines do: Unity reads a RAW file from
the south, a texture from the north; Unreal keeps a height as (value - 32768) / 128 cm.
"""

from collections.abc import Iterable

from terrainlib.mask.pack._facts import PackFacts, number_text, size_text
from terrainlib.mask.pack.target import UNITY_SIZES, UNREAL_SIZES


def unity_steps(facts: PackFacts) -> Iterable[str]:
    """Return the steps for Unity's terrain."""
    _, cells = _unity_sizes(facts)
    if facts.target.engine != "unity":
        yield (
            "Unity takes square heightmaps of "
            f"{UNITY_SIZES[0]} to {UNITY_SIZES[-1]} px (a power of two plus 1). Make "
            "the pack again for Unity; with this one, resize the files first."
        )
    yield from _unity_ground(facts)
    yield (
        f"Set Control Texture Resolution to {cells} and add "
        f"{len(facts.class_names)} terrain layers in this order: "
        f"{', '.join(facts.class_names)}."
    )
    yield (
        f"Copy {', '.join(facts.splat_files)} into Assets. In the import settings turn "
        "sRGB and Alpha Is Transparency off, Read/Write on, and compression to None."
    )
    yield (
        "Open Window > Terrain > Terrain Toolbox of the Terrain Tools package and "
        "replace the splatmaps of the terrain by these files, in their order."
    )
    if len(facts.splat_files) > 2:
        yield (
            "The Toolbox replaces two splatmaps, 8 layers; the further classes need "
            "TerrainData.SetAlphamaps in a script, from the files of weights."
        )


def _unity_ground(facts: PackFacts) -> Iterable[str]:
    """Return the steps that make the terrain, with its heights where there are some."""
    across, down = facts.scales.ground_m
    resolution, _ = _unity_sizes(facts)
    if facts.heights is not None:
        raw = facts.height_files[1]
        yield (
            "Add a terrain (GameObject > 3D Object > Terrain). In its Terrain Settings "
            f"choose Import Raw and open {raw}: Depth 16 bit, Resolution "
            f"{resolution}, Byte Order Windows, Flip Vertically on. Terrain size: "
            f"X {number_text(across)}, Y {number_text(facts.heights.span_m)}, Z "
            f"{number_text(down)}."
        )
        yield (
            f"For true heights set the terrain's Position Y to "
            f"{number_text(facts.heights.low_m)}."
        )
    else:
        yield (
            "Add a terrain (GameObject > 3D Object > Terrain) with Terrain Width "
            f"{number_text(across)} and Terrain Length {number_text(down)}."
        )


def unreal_steps(facts: PackFacts) -> Iterable[str]:
    """Return the steps for Unreal's landscape."""
    x, y, z = map(number_text, facts.scales.unreal_scale)
    high = size_text(facts.frame.height_size)
    if facts.target.engine != "unreal":
        listed = ", ".join(map(str, UNREAL_SIZES))
        yield (
            f"Unreal recommends heightmaps of {listed} px and weights of the same "
            "size. Make the pack again for Unreal; this one is imported with a rim or "
            "resampled."
        )
    yield (
        "Give the landscape a material with a Landscape Layer Blend node that has one "
        f"layer a class: {', '.join(facts.class_names)}."
    )
    if facts.heights is not None:
        yield (
            "In Landscape Mode choose Manage > New > Import from File and the "
            f"heightmap {facts.height_files[0]} ({high} px)."
        )
        yield (
            f"Scale: X {x}, Y {y}, Z {z} (Z is the range in cm x 128 / 65535). "
            f"Location Z: {number_text(facts.scales.unreal_z_cm)}, so that heights are "
            "metres above 0."
        )
    else:
        yield (
            f"In Landscape Mode make a new, flat landscape of {high} vertices with the "
            f"scale X {x}, Y {y}."
        )
    yield (
        "For every layer choose its file as the layer's weights: "
        f"{', '.join(facts.weight_files)}. Take weight-blended layers."
    )
    yield (
        "For a smaller world multiply all three scales and Location Z by the same "
        "number."
    )


def godot_steps(facts: PackFacts) -> Iterable[str]:
    """Return the steps for Godot with a terrain plugin."""
    if facts.heights is not None:
        low, high = number_text(facts.heights.low_m), number_text(facts.heights.high_m)
        yield (
            "Godot reads PNG with 8 bits only, so take the RAW file for heights. With "
            f"the Terrain3D plugin open its importer, choose {facts.height_files[1]}, "
            f"the range {low} to {high} and the size "
            f"{size_text(facts.frame.height_size)}. Vertex spacing: "
            f"{_spacing(facts)}."
        )
    yield (
        "Terrain3D paints control maps of its own: class_colors.png goes in as the "
        "colour map."
    )
    yield (
        f"A shader of your own reads {', '.join(facts.splat_files)}, imported with "
        "compression Lossless and without Fix Alpha Border."
    )


def blender_steps(facts: PackFacts) -> Iterable[str]:
    """Return the steps for Blender."""
    across, down = facts.scales.ground_m
    yield (
        "Add a Grid with many subdivisions (a subdivision surface set to Simple adds "
        f"more) and the dimensions X {number_text(across)} m, Y {number_text(down)} m."
    )
    if facts.heights is not None:
        yield (
            f"Add a Displace modifier with {facts.height_files[0]} as the image of its "
            "texture: Color Space Non-Color, Coordinates UV, Direction Z, Midlevel 0, "
            f"Strength {number_text(facts.heights.span_m)}. Location Z: "
            f"{number_text(facts.heights.low_m)} m."
        )
    yield (
        f"In the material mix one shader a class by {', '.join(facts.weight_files)}, "
        "all Non-Color."
    )


def _unity_sizes(facts: PackFacts) -> tuple[str, str]:
    """Return the sizes of heightmap and control texture as Unity wants them."""
    if facts.target.engine != "unity":
        return "of the resized file", "that of the resized splat maps"
    return str(facts.frame.height_size[1]), str(facts.frame.size[1])


def _spacing(facts: PackFacts) -> str:
    """Return the distance between heights; the plugin has one for both directions."""
    across, down = facts.scales.spacing_m
    text = f"{number_text(across)} m"
    if abs(across - down) < 0.01 * across:
        return text
    return f"{text} (from north to south it is {number_text(down)} m)"
