"""A node whose clients must log in, and its administrator.

    node = guarded_node(directory)
    make_user(node, "alice", ["Read,Write topic orders*"])
"""

from posthouse_node import Node

ADMIN_PASSWORD = "the administrator's password"


def guarded_node(directory, *flags, env=None):
    """A node that asks everybody who they are, not yet started."""
    directory.mkdir(parents=True, exist_ok=True)
    password_file = directory / "admin-password"
    password_file.write_text(ADMIN_PASSWORD + "\n")
    return Node(
        directory / "node", "--authentication", "--admin-password-file", password_file, *flags, env=env
    )


def as_user(user, password):
    """The environment in which the command line acts as a user."""
    return {"POSTHOUSE_USER": user, "POSTHOUSE_PASSWORD": password}


def admin(node, *arguments, input=None, check=True):
    """Runs a client command as the administrator."""
    return node.cli(*arguments, input=input, check=check, env=as_user("admin", ADMIN_PASSWORD))


def make_user(node, name, rules=(), password=None, *flags):
    """Makes a user, `name-password` its password; a rule is "Read,Write topic orders*"."""
    admin(node, "user", "create", name, *flags, input=(password or f"{name}-password") + "\n")
    for rule in rules:
        allow(node, name, rule)


def allow(node, user, rule):
    """Adds a rule: "Read topic orders*"."""
    operations, kind, what = rule.split(" ", 2)
    admin(node, "acl", "add", user, operations, kind, what)


def make_token(node, user, *flags):
    """Makes a token of a user."""
    return admin(node, "token", "create", user, *flags).stdout.strip()
