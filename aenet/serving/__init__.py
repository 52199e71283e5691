"""Localization with exported models; torch is never imported here."""
