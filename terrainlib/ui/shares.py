"""The shares of the classes in a mask, as a chart."""

from collections.abc import Mapping

import altair as alt
import pandas as pd
import streamlit as st

from terrainlib.data.palette import Classes

_ROW_PX = 30


def show_shares(classes: Classes, shares: Mapping[str, float]) -> None:
    """Show a bar a class, in its colour, its share written beside its name.

    Args:
        classes: The classes in their order.
        shares: Share of each class by name, 0 to 1.
    """
    labels = [f"{item.name}  {shares[item.name]:.1%}" for item in classes]
    table = pd.DataFrame(
        {"Class": labels, "Share": [shares[item.name] for item in classes]}
    )
    colors = [f"rgb({r},{g},{b})" for r, g, b in (item.color for item in classes)]
    scale = alt.Scale(domain=labels, range=colors)
    chart = (
        alt.Chart(table)
        .mark_bar(stroke="gray", strokeWidth=0.5)
        .encode(
            y=alt.Y("Class:N", sort=labels, title=None, axis=alt.Axis(labelLimit=240)),
            x=alt.X("Share:Q", title=None, axis=None),
            color=alt.Color("Class:N", scale=scale, legend=None),
            tooltip=["Class"],
        )
        .properties(height=_ROW_PX * len(labels))
    )
    shown = sorted(shares.items(), key=lambda item: -item[1])
    st.altair_chart(
        chart,
        alt="Shares of the classes: "
        + ", ".join(f"{name} {share:.1%}" for name, share in shown),
    )
