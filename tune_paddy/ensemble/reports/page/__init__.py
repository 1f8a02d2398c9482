"""Parts of the HTML report; `html` beside this folder puts them together."""
