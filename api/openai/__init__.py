"""The dialect of OpenAI's video API, as its SDK and other servers' clients speak it: docs/openai.md."""
