"""The page to draw on and its HTTP interface; needs Starlette and uvicorn. docs/api.md describes it."""
