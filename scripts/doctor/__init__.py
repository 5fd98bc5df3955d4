"""``wanserve doctor``: looks at every part of this setup and says what to do about what is wrong."""
