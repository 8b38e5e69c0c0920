# Builds and installs bhavd as a service.
#   make && sudo make install                        into /usr
#   make install DESTDIR=/tmp/staging                for a packager
#   make deb                                         a Debian package, in target/debian
# PREFIX may be another than /usr where systemd and D-Bus look there too.
PREFIX ?= /usr
SYSCONFDIR ?= /etc
# Where zsh looks for what is not its own: Debian's wants $(PREFIX)/share/zsh/vendor-completions.
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
DESTDIR ?=
PROFILE ?= release
CARGO ?= cargo
# Where cargo leaves the programs: the profile dev has a directory of another name.
BUILD ?= $(or $(CARGO_TARGET_DIR),target)/$(patsubst dev,debug,$(PROFILE))

bindir = $(DESTDIR)$(PREFIX)/bin
libdir = $(DESTDIR)$(PREFIX)/lib
datadir = $(DESTDIR)$(PREFIX)/share
docdir = $(datadir)/doc/bhavd
mandir = $(datadir)/man
bashdir = $(datadir)/bash-completion/completions
zshdir = $(DESTDIR)$(ZSHDIR)
fishdir = $(datadir)/fish/vendor_completions.d

relocate = sed 's:/usr/bin/bhavd:$(PREFIX)/bin/bhavd:; s:/etc/bhavd:$(SYSCONFDIR)/bhavd:'

.PHONY: all install uninstall deb

all:
	$(CARGO) build --locked --profile $(PROFILE) --bins

# "make install" builds nothing, so that it can run as root.
install:
	@test -x $(BUILD)/bhavd || { echo "$(BUILD)/bhavd is not there: run make first" >&2; exit 1; }
	install -d $(bindir) $(libdir)/systemd/system $(libdir)/systemd/catalog $(libdir)/sysusers.d $(libdir)/tmpfiles.d \
		$(datadir)/dbus-1/system.d $(datadir)/dbus-1/system-services \
		$(datadir)/polkit-1/actions $(docdir)/examples $(DESTDIR)$(SYSCONFDIR)/bhavd \
		$(mandir)/man1 $(mandir)/man8 $(bashdir) $(zshdir) $(fishdir)
	install -m 755 $(BUILD)/bhavd $(BUILD)/bhavctl $(bindir)
	$(relocate) systemd/bhavd.service > $(libdir)/systemd/system/bhavd.service
	$(relocate) systemd/notify-reload.conf > $(docdir)/examples/notify-reload.conf
	chmod 644 $(libdir)/systemd/system/bhavd.service $(docdir)/examples/notify-reload.conf
	install -m 644 systemd/bhavd.socket $(libdir)/systemd/system
	install -m 644 systemd/bhavd.catalog $(libdir)/systemd/catalog
	install -m 644 systemd/bhavd.sysusers $(libdir)/sysusers.d/bhavd.conf
	install -m 644 systemd/bhavd.tmpfiles $(libdir)/tmpfiles.d/bhavd.conf
	install -m 644 dbus/org.bhavd.Bhavd1.conf $(datadir)/dbus-1/system.d
	install -m 644 dbus/org.bhavd.Bhavd1.service $(datadir)/dbus-1/system-services
	install -m 644 dbus/org.bhavd.Bhavd1.policy $(datadir)/polkit-1/actions
	install -m 644 man/*.1 $(mandir)/man1
	install -m 644 man/*.8 $(mandir)/man8
	install -m 644 completions/bhavctl.bash $(bashdir)/bhavctl
	install -m 644 completions/bhavd.bash $(bashdir)/bhavd
	install -m 644 completions/_bhavctl completions/_bhavd $(zshdir)
	install -m 644 completions/bhavctl.fish completions/bhavd.fish $(fishdir)
	install -m 644 README.md LICENSE-MIT LICENSE-APACHE config/bhavd.toml $(docdir)
	install -m 644 systemd/credentials.conf $(docdir)/examples
# The group that may read it is not there before systemd-sysusers has run: what is printed below closes the file then.
	test -e $(DESTDIR)$(SYSCONFDIR)/bhavd/bhavd.toml || \
		install -m 644 systemd/bhavd.toml $(DESTDIR)$(SYSCONFDIR)/bhavd/bhavd.toml
	@test -n "$(DESTDIR)" || printf '%s\n' \
		'Next:  systemd-sysusers && systemd-tmpfiles --create' \
		'       chgrp bhavd $(SYSCONFDIR)/bhavd/bhavd.toml && chmod 0640 $(SYSCONFDIR)/bhavd/bhavd.toml' \
		'       systemctl daemon-reload && journalctl --update-catalog' \
		'       systemctl enable --now bhavd'

# What was recorded and configured stays.
uninstall:
	rm -f $(bindir)/bhavd $(bindir)/bhavctl
	rm -f $(libdir)/systemd/system/bhavd.service $(libdir)/systemd/system/bhavd.socket $(libdir)/systemd/catalog/bhavd.catalog
	rm -f $(libdir)/sysusers.d/bhavd.conf $(libdir)/tmpfiles.d/bhavd.conf
	rm -f $(datadir)/dbus-1/system.d/org.bhavd.Bhavd1.conf $(datadir)/dbus-1/system-services/org.bhavd.Bhavd1.service
	rm -f $(datadir)/polkit-1/actions/org.bhavd.Bhavd1.policy
	rm -f $(addprefix $(mandir)/,$(patsubst %.1,man1/%.1,$(notdir $(wildcard man/*.1))))
	rm -f $(addprefix $(mandir)/,$(patsubst %.8,man8/%.8,$(notdir $(wildcard man/*.8))))
	rm -f $(bashdir)/bhavctl $(bashdir)/bhavd $(zshdir)/_bhavctl $(zshdir)/_bhavd
	rm -f $(fishdir)/bhavctl.fish $(fishdir)/bhavd.fish
	rm -rf $(docdir)

deb:
	scripts/package.sh --profile dist
