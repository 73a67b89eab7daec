"""Isso as a WSGI application whose database lies where Understudy says: 0.13.2 fills in no environment itself."""

import os

from isso import config, make_app

settings = config.load(config.default_file(), "isso.cfg")
settings.set("general", "dbpath", os.path.join(os.environ["UNDERSTUDY_SHARED"], "comments.db"))
application = make_app(settings, multiprocessing=True)
