"""The demonstration in the browser: a Gradio Space, also started by `ecgscan demo`."""
