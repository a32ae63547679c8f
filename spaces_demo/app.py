"""What the Space runs: `python app.py`, with the project's packages beside it or installed."""

from spaces_demo.interface import serve

if __name__ == "__main__":
    serve()
