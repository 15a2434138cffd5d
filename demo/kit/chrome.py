"""How the page looks and how it is served."""

from __future__ import annotations

from typing import Any

from gradio.themes import Base, LocalFont, sizes
from starlette.middleware import Middleware

from demo.kit import scripts
from demo.kit.rooms import Doors
from demo.kit.uploads import Uploads
from engine.core.assets import ASSETS

STYLE = ASSETS / "style"


def theme() -> Base:
    """Quiet: ink on paper, one type family, no shadow, no card in a card; both modes designed."""
    ink, paper = "#1b1f24", "#ffffff"
    return Base(
        primary_hue="blue",
        neutral_hue="slate",
        text_size=sizes.text_sm,
        spacing_size=sizes.spacing_sm,
        radius_size=sizes.radius_sm,
        font=[LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"],
        font_mono=[LocalFont("IBM Plex Mono", weights=(400, 700)), "monospace"],
    ).set(
        body_background_fill=paper,
        body_background_fill_dark="#14171b",
        body_text_color=ink,
        body_text_color_dark="#e6e8eb",
        body_text_color_subdued="#57606a",
        body_text_color_subdued_dark="#9aa4af",
        background_fill_primary=paper,
        background_fill_primary_dark="#14171b",
        background_fill_secondary="#f6f7f9",
        background_fill_secondary_dark="#1b1f25",
        border_color_primary="#d9dee4",
        border_color_primary_dark="#323943",
        color_accent=ink,
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_shadow="none",
        block_padding="0px",
        block_title_text_weight="600",
        block_title_text_color="*body_text_color",
        block_title_text_color_dark="*body_text_color",
        block_info_text_color="*body_text_color_subdued",
        block_info_text_color_dark="*body_text_color_subdued",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        form_gap_width="0px",
        table_even_background_fill="transparent",
        table_even_background_fill_dark="transparent",
        table_odd_background_fill="*background_fill_secondary",
        table_odd_background_fill_dark="*background_fill_secondary",
        table_border_color="*border_color_primary",
        table_border_color_dark="*border_color_primary",
        input_background_fill=paper,
        input_background_fill_dark="#1b1f25",
        input_border_color="#b9c1ca",
        input_border_color_dark="#48515d",
        slider_color=ink,
        slider_color_dark="#e6e8eb",
        checkbox_background_color_dark="#1b1f25",
        checkbox_border_color_dark="#48515d",
        checkbox_background_color_selected=ink,
        checkbox_background_color_selected_dark="#5c6773",
        checkbox_border_color_selected=ink,
        checkbox_border_color_selected_dark="#9aa4af",
        checkbox_label_background_fill="transparent",
        checkbox_label_background_fill_dark="transparent",
        checkbox_label_background_fill_selected="transparent",
        checkbox_label_background_fill_selected_dark="transparent",
        checkbox_label_text_color_selected="*body_text_color",
        checkbox_label_text_color_selected_dark="*body_text_color",
        button_primary_background_fill=ink,
        button_primary_background_fill_hover="#3a424c",
        button_primary_text_color=paper,
        button_primary_border_color=ink,
        button_primary_border_color_dark="#e6e8eb",
        button_primary_background_fill_dark="#e6e8eb",
        button_primary_background_fill_hover_dark="#ffffff",
        button_primary_text_color_dark="#14171b",
        button_secondary_background_fill="transparent",
        button_secondary_background_fill_dark="transparent",
        button_secondary_background_fill_hover="*background_fill_secondary",
        button_secondary_background_fill_hover_dark="*background_fill_secondary",
        button_secondary_border_color="#b9c1ca",
        button_secondary_border_color_dark="#48515d",
        button_secondary_text_color="*body_text_color",
        button_secondary_text_color_dark="*body_text_color",
        button_border_width="1px",
    )


def launch_settings() -> dict[str, Any]:
    """What `launch` gets, the same from app.py and from the tests; plain where the style is missing."""
    look, icon = STYLE / "frame.css", STYLE / "icon.svg"
    return {
        "theme": theme(),
        "css": look.read_text(encoding="utf-8") if look.is_file() else "",
        "head": scripts.head(),
        "favicon_path": str(icon) if icon.is_file() else None,
        "footer_links": ["api", "settings"],
        "run_history": False,
        "ssr_mode": False,
        "share": False,
        "max_file_size": "16mb",
        "max_threads": 512,
        "state_session_capacity": 128,
        "app_kwargs": {
            "middleware": [Middleware(Uploads), Middleware(Doors)],
            "routes": scripts.routes(),
        },
    }
